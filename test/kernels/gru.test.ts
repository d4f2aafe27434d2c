import { testRecurrent } from './recurrent-cases.ts';

testRecurrent('gru', 3);
