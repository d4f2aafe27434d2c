/** The benchmarks by name, as `spanwise bench` loads them (built to dist/bench.js). */
import { accuracyBench } from './accuracy.bench.ts';
import { ceremBench } from './cerem.bench.ts';
import { contextAttentionBench } from './context-attention.bench.ts';
import { enginesBench } from './engines.bench.ts';
import type { Bench } from './harness.ts';
import { gateBench } from './gate.bench.ts';
import { fuzzBench } from './fuzz.bench.ts';
import { gpuFormsBench } from './gpu-forms.bench.ts';
import { hostBench } from './host.bench.ts';
import { kernelsBench } from './kernels.bench.ts';
import { killsBench } from './kills.bench.ts';
import { linearBench } from './linear.bench.ts';
import { modelsBench } from './models.bench.ts';
import { peersBench } from './peers.bench.ts';
import { reportBench } from './report.bench.ts';
import { siaBench } from './sia.bench.ts';
import { soakBench } from './soak.bench.ts';
import { soakCyclesBench } from './soak-cycles.bench.ts';
import { soakHourBench } from './soak-hour.bench.ts';
import { soakLinesBench } from './soak-lines.bench.ts';
import { spanScoreBench } from './span-score.bench.ts';
import { stsnBench } from './stsn.bench.ts';
import { table6Bench } from './table6.bench.ts';
import { table7Bench } from './table7.bench.ts';

export type { Bench, BenchDocument, BenchOptions } from './harness.ts';

export const benches: Readonly<Record<string, Bench>> = {
  linear: linearBench,
  kernels: kernelsBench,
  host: hostBench,
  'gpu-forms': gpuFormsBench,
  accuracy: accuracyBench,
  gate: gateBench,
  engines: enginesBench,
  'span-score': spanScoreBench,
  'context-attention': contextAttentionBench,
  sia: siaBench,
  table6: table6Bench,
  table7: table7Bench,
  peers: peersBench,
  report: reportBench,
  soak: soakBench,
  fuzz: fuzzBench,
  'soak-cycles': soakCyclesBench,
  'soak-hour': soakHourBench,
  'soak-lines': soakLinesBench,
  kills: killsBench,
  stsn: stsnBench,
  cerem: ceremBench,
  models: modelsBench,
};
