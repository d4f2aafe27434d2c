import { testRecurrent } from './recurrent-cases.ts';

testRecurrent('lstm', 4);
