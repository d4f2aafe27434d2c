import { testBinary } from './binary.ts';

testBinary('add');
