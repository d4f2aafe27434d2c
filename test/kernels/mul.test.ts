import { testBinary } from './binary.ts';

testBinary('mul');
