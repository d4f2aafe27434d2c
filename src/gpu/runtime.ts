/**
 * Runs plans on a device. `run` records dispatches; nothing reaches the device until `flush`, which compiles what is
 * missing, writes all uniforms and host tables once, encodes one compute pass and submits it. So a training step is
 * one submit, operations stay synchronous, and pipelines are never compiled on the main thread's time.
 */
import { InputError, SpanwiseError } from '../../kernels/errors.ts';
import { bytesOf, type Caps, type DType, type Kernel } from '../../kernels/plan.ts';
import type { Plan, Shape } from '../../kernels/plan.ts';
import { fill } from '../../kernels/shared/elementwise.ts';
import { BatchEncoder, type Batch, type Reading } from './batch.ts';
import { checkAccess, checkData, checkFit, checkOut } from './checks.ts';
import { compileRuns } from './compile.ts';
import type { DeviceInfo, OpenedDevice } from './device.ts';
import { DeviceLostError, GpuValidationError, OutOfMemoryError } from './errors.ts';
import { Encodings } from './encodings.ts';
import { Guard } from './guard.ts';
import { HostTables, TableLayout } from './host-tables.ts';
import { bufferUsage, Memory, type Block, type Label } from './memory.ts';
import { Meter } from './meter.ts';
import { Pipelines } from './pipelines.ts';
import type { Asked, Given, KernelPlan } from './kernel-plan.ts';
import { PlanCache } from './plan-cache.ts';
import { Profiler } from './profiler.ts';
import { ReadBacks, TensorRead } from './read-backs.ts';
import { byName, readyPlan, type Operands, type ReadyPlan } from './ready-plan.ts';
import { Recording } from './recording.ts';
import { Refusals } from './refusals.ts';
import { Scopes, tensorsIn } from './scopes.ts';
import { Tensor, type KernelOptions, type Recorder, type TensorRuntime, type WrapOptions } from './tensor.ts';
import { checkShape, checkType, checkUpload, wholeWords, type Values } from './values.ts';
import type { GPUBuffer, GPUCommandEncoder, GPUDevice } from './webgpu.ts';

const READ_USAGE = 0x1 | 0x8; // MAP_READ | COPY_DST
/** Most bytes that are uploaded without an error scope. */
const SMALL_WRITE = 4096;

export interface RuntimeOptions {
  /** Wraps every wait for the device; Node paces Dawn's busy event pump with it. */
  wait?: <T>(promise: Promise<T>) => Promise<T>;
  /** Fills every new tensor with NaN first, so that an element that a kernel does not write shows. For tests. */
  poison?: boolean;
  /** Told of the runs (`Run`) of every batch before it is submitted: for export, no part of the public interface. */
  observe?: (runs: readonly unknown[]) => void;
}

export class Runtime implements TensorRuntime {
  readonly device: GPUDevice;
  readonly caps: Caps;
  readonly info: DeviceInfo;
  readonly memory: Memory;
  readonly meter = new Meter();
  /** The tape that records, while there is one (src/ops/tape.ts). */
  tape: Recorder | undefined;
  writes = 0;
  readonly #options: RuntimeOptions;
  readonly #opened: OpenedDevice;
  readonly #guard: Guard;
  readonly #pipelines: Pipelines;
  readonly #encoder: BatchEncoder;
  readonly #encodings: Encodings;
  readonly #plans: PlanCache;
  readonly #readBacks: ReadBacks;
  readonly #scopes = new Scopes();
  readonly #refusals: Refusals;
  readonly #recording = new Recording();
  #flushing: Promise<void> = Promise.resolve();
  #batch = 1;
  readonly #layout: TableLayout;
  #tables: HostTables;
  #profiler: Profiler | undefined;
  #closed = false;
  #destroyed = false;
  /** Waits for the device that have not ended: it outlives them. */
  #waits = 0;

  constructor(opened: OpenedDevice, options: RuntimeOptions = {}) {
    if (!(opened as OpenedDevice | undefined)?.device)
      throw new InputError('Runtime: takes what `openDevice` or `wrapDevice` gives');
    this.device = opened.device;
    this.caps = opened.caps;
    this.info = opened.info;
    this.#options = options;
    this.#guard = new Guard(opened.device);
    this.memory = new Memory(
      (size, label) =>
        this.#guard.run(
          () => `${label} buffer of ${size} bytes`,
          () => this.device.createBuffer({ size, usage: bufferUsage, label }),
        ),
      opened.caps,
    );
    this.#pipelines = new Pipelines(opened.device);
    this.#refusals = new Refusals(opened.device);
    this.#plans = new PlanCache(this.#pipelines, this.memory, opened.caps);
    this.#readBacks = new ReadBacks(
      (size) =>
        this.#guard.run(
          () => `read-back buffer of ${size} bytes`,
          () => this.device.createBuffer({ size, usage: READ_USAGE, label: 'read-back' }),
        ),
      this.memory,
    );
    this.#encoder = new BatchEncoder(opened.device, opened.caps, this.memory, this.meter);
    this.#encodings = new Encodings(opened.device, opened.caps, this.memory, this.meter);
    void opened.device.lost.then((lost) => {
      if (!this.#closed)
        this.#guard.failure ??= new DeviceLostError(`the device was lost (${lost.reason}): ${lost.message}`);
    });
    // Others on the device make mistakes too: all that is done here runs under error scopes, and no other error counts.
    this.#opened = opened;
    this.#layout = new TableLayout(opened.caps);
    this.#tables = new HostTables(opened.caps, this.#layout);
  }

  // ---- tensors -------------------------------------------------------------------------------------------------

  /** A tensor with undefined contents. `label` says what its bytes are for. */
  empty(shape: Shape, dtype: DType = 'f32', label: Label = 'activations'): Tensor {
    const tensor = this.#allocate(shape, dtype, label);
    if (this.#options.poison) this.#poison(tensor.block, tensor.bytes / 4);
    return tensor;
  }

  /** A tensor with the host's values, f16 as bits in a Uint16Array. Errors: values that do not fill the shape. */
  upload(data: Values, shape: Shape, label: Label = 'inputs'): Tensor {
    const dtype = checkUpload(data, shape);
    const tensor = this.#allocate(shape, dtype, label, true);
    const write = (): void => this.#writeBuffer(tensor, data);
    // Error scopes cost more than a small write, which cannot fail: the buffer is one of ours.
    if (data.length > 0)
      if (data.byteLength <= SMALL_WRITE) write();
      else this.#guard.run(() => `upload of [${shape}]`, write);
    return tensor;
  }

  /**
   * A tensor over a GPUBuffer that the caller owns, from byte `offset` on, without a copy. The caller keeps the buffer alive
   * until the tensor is released, and destroys it. Reading needs COPY_SRC, writing COPY_DST.
   * @throws InputError for a buffer without STORAGE usage, one that the shape does not fit into, and an offset that is no
   *   multiple of the device's `minStorageBufferOffsetAlignment`. A buffer of another device, or one that was destroyed, is
   *   known to the device alone: what uses it rejects with an InputError, and all else goes on.
   */
  wrap(
    buffer: GPUBuffer,
    shape: Shape,
    { offset = 0, dtype = 'f32', label = 'inputs' }: WrapOptions = {},
  ): Tensor {
    this.#throwFailure();
    const bytes = checkFit(buffer, shape, dtype, offset, this.caps);
    const block = this.memory.adopt(buffer, bytes, label);
    this.#refusals.probe(block);
    return this.track(new Tensor(this, shape, dtype, block, offset));
  }

  /**
   * Overwrites a tensor's elements from the host, after everything recorded so far has been submitted.
   * @throws InputError for a count or an element type that is not the tensor's, a tensor of another runtime, and one over a
   *   wrapped buffer without COPY_DST
   */
  async write(tensor: Tensor, data: Values): Promise<void> {
    checkAccess('write', tensor, this);
    checkData(tensor, data);
    tensor.writtenAt = ++this.writes;
    await this.flush();
    this.#guard.run(
      () => `write of [${tensor.shape}]`,
      () => this.#writeBuffer(tensor, data),
    );
  }

  #writeBuffer({ buffer, offset, block }: Tensor, data: Values): void {
    this.#refusals.renewed(block, this.#batch);
    const { buffer: from, byteOffset, byteLength } = wholeWords(data);
    this.device.queue.writeBuffer(buffer, offset, from as ArrayBuffer, byteOffset, byteLength);
  }

  /** Registers a new tensor with the innermost scope. Errors: the runtime is closed or has failed. */
  track(tensor: Tensor): Tensor {
    this.#throwFailure();
    this.#scopes.add(tensor);
    return tensor;
  }

  /** Takes a tensor out of all scopes: it lives until it is released. */
  keep(tensor: Tensor): Tensor {
    tensor.kept = true;
    return tensor;
  }

  /**
   * Runs `body`, then releases every tensor made inside it except those it returns (in arrays or plain objects too),
   * which pass to the enclosing scope. Scopes nest; two asynchronous ones must not overlap otherwise.
   */
  async scope<T>(body: () => T | Promise<T>): Promise<T> {
    const made = this.#scopes.open();
    let survivors: readonly Tensor[] = [];
    try {
      const result = await body();
      survivors = tensorsIn(result);
      return result;
    } finally {
      this.#scopes.close(made, survivors);
    }
  }

  /**
   * `scope` for a synchronous body, except that where the tape recorded something in it all tensors pass to the
   * enclosing scope, as the backward may need them. So inference, and what is frozen while the rest trains, hold no more
   * than they are working with.
   */
  tidy<T>(body: () => T): T {
    const recorded = this.tape?.length;
    const made = this.#scopes.open();
    let survivors: readonly Tensor[] = [];
    let needed = false;
    try {
      const result = body();
      needed = this.tape?.length !== recorded;
      if (!needed) survivors = tensorsIn(result);
      return result;
    } finally {
      if (needed) this.#scopes.dissolve(made);
      else this.#scopes.close(made, survivors);
    }
  }

  #allocate(shape: Shape, dtype: DType, label: Label, idle = false): Tensor {
    this.#throwFailure();
    checkShape(shape);
    checkType(dtype);
    const block = this.memory.take(bytesOf(shape, dtype), label, idle);
    this.#refusals.renewed(block, this.#batch);
    return this.#tensor(shape, dtype, block);
  }

  #tensor(shape: Shape, dtype: DType, block: Block): Tensor {
    return this.track(new Tensor(this, shape, dtype, block));
  }

  // ---- plans ---------------------------------------------------------------------------------------------------

  /**
   * Plans a kernel and records it. `inputs` are device tensors by port name, `host` the integer inputs.
   * @returns the outputs by port name; saved ones included.
   * @throws InputError for a tensor of another dtype than its port's, an `out` that cannot be that output's, and all that the
   *   plan refuses
   */
  kernel(
    kernel: Kernel,
    inputs: Readonly<Record<string, Tensor | undefined>>,
    options: KernelOptions = {},
  ): Record<string, Tensor> {
    const names: string[] = [];
    const given: (Tensor | Given)[] = [];
    for (const all of [inputs, options.host ?? {}])
      for (const name in all)
        if (all[name]) {
          names.push(name);
          given.push(all[name]);
        }
    const { ready } = this.plan({
      kernel,
      names,
      given,
      params: options.params ?? {},
      wanted: options.wanted,
      add: options.add,
    });
    const { out } = options;
    if (out) checkOut(kernel.name, ready, given, out);
    const places = out && ready.outputs.map(({ name }) => out[name]);
    return byName(ready, this.execute(ready, given, options.label ?? 'activations', places));
  }

  /** The plan of a kernel, kept or made: see PlanCache.find. */
  plan(asked: Asked): KernelPlan {
    this.#throwFailure();
    return this.#plans.find(asked, this.caps);
  }

  /** Records a plan's dispatches; allocates its outputs (under `label`) and its scratch, which is freed at once. */
  run(
    plan: Plan,
    inputs: Readonly<Record<string, Tensor>>,
    label: Label = 'activations',
  ): Record<string, Tensor> {
    this.#throwFailure();
    const data = Object.fromEntries(Object.entries(plan.data).map(([name, table]) => [name, table.slice()]));
    const given = Object.entries(inputs).map(([name, { shape, dtype }]) => ({ name, shape, dtype }));
    const ready = readyPlan({ ...plan, data }, given, this.#pipelines, this.caps);
    return byName(ready, this.execute(ready, Object.values(inputs), label));
  }

  /**
   * The same for a plan that is ready.
   * @param given its inputs in their order; what no dispatch binds is left alone
   * @param into by output, a tensor of its shape that it is written to in place of a new one
   * @returns its outputs in their order
   */
  execute(
    plan: ReadyPlan,
    given: readonly unknown[],
    label: Label,
    into?: readonly (Tensor | undefined)[],
  ): Tensor[] {
    const operands = this.#recording.operandsOf(plan);
    const { blocks, tables } = operands;
    for (const { place, label: kernel, name } of plan.bound)
      this.#bind(operands, place, given[place] as Tensor, kernel, name);
    const outputs: Tensor[] = new Array(plan.outputs.length);
    let at = plan.inputs;
    for (let i = 0; i < plan.outputs.length; i++, at++) {
      const { name, shape, dtype, bytes } = plan.outputs[i];
      const place = into?.[i];
      if (plan.inPlace[i] >= 0) {
        const over = given[plan.inPlace[i]] as Tensor;
        over.writtenAt = ++this.writes;
        outputs[i] = over;
      } else if (place) {
        place.writtenAt = ++this.writes;
        this.#bind(operands, at, place, label, name);
        outputs[i] = place;
      } else {
        const block = (blocks[at] = this.memory.take(bytes, label));
        outputs[i] = this.#tensor(shape, dtype, block);
        this.#use(block, bytes);
      }
    }
    const first = at;
    for (const { bytes } of plan.scratch)
      this.#use((blocks[at++] = this.memory.take(bytes, 'scratch')), bytes);
    if (plan.dispatches.length > 0) {
      for (let i = 0; i < plan.tables.length; i++)
        tables[i] = this.#tables.place(plan.tables[i], plan.dispatches[0].dispatch.label);
      plan.lastUse = this.#batch;
      this.#recording.add(plan, operands, this.meter.phase);
      this.meter.record(plan.work);
    }
    // Later commands may reuse the memory: they run after these.
    while (at > first) this.memory.give(blocks[--at] as Block);
    return outputs;
  }

  /** Takes a tensor's memory to a place of a run. Errors: it is of another runtime, or was released. */
  #bind({ blocks, parts }: Operands, at: number, tensor: Tensor, kernel: string, name: string): void {
    if (tensor.runtime !== this) throw new InputError(`${kernel}: "${name}" is of another runtime`);
    if (tensor.released) throw new SpanwiseError(`${kernel}: "${name}" [${tensor.shape}] was released`);
    const { block, part } = tensor;
    block.lastUse = this.#batch;
    blocks[at] = block;
    if (!part) return;
    if (part.offset % this.caps.minStorageBufferOffsetAlignment !== 0)
      throw new SpanwiseError(`${kernel}: "${name}" begins at byte ${part.offset} of a buffer`);
    parts[at] = part;
  }

  /** A new block is used by the batch that is being recorded. */
  #use(block: Block, bytes: number): void {
    block.lastUse = this.#batch;
    if (this.#options.poison) this.#poison(block, bytes / 4);
  }

  #poison(block: Block, size: number): void {
    if (size === 0) return;
    const dispatch = fill('poison', 'out', size, NaN, this.caps);
    const whole = { dispatches: [dispatch], scratch: {}, outputs: {}, data: {} };
    const plan = readyPlan(whole, [{ name: 'out', shape: [size] }], this.#pipelines, this.caps);
    block.lastUse = this.#batch;
    this.#recording.add(plan, { blocks: [block], parts: [], tables: [] }, this.meter.phase);
    this.meter.record(plan.work);
  }

  // ---- device --------------------------------------------------------------------------------------------------

  /** Compiles the pipelines of recorded commands and submits them. Does not wait for the device to finish. */
  async flush(): Promise<void> {
    await this.#flush();
  }

  /** `reading` is encoded behind the commands, in the same submit. */
  #flush(reading?: Reading): Promise<void> {
    this.#throwFailure();
    if (this.#recording.length === 0 && !reading) return this.#flushing;
    const batch = this.#endBatch(reading);
    return this.#inTurn(() => this.#submit(batch));
  }

  /** What is recorded, as a batch; the next one begins. */
  #endBatch(reading?: Reading): Batch {
    const runs = this.#recording.take();
    const batch = { number: this.#batch++, runs, tables: this.#tables, reading };
    if (runs.length > 0) this.#plans.rewind(); // a read of what was submitted before ends no step
    this.#tables.close();
    this.#tables = new HostTables(this.caps, this.#layout);
    return batch;
  }

  /** Does something once all batches before have been submitted. */
  #inTurn<T>(body: () => Promise<T>): Promise<T> {
    const done = this.#flushing.then(body);
    this.#flushing = done.then(
      () => undefined,
      () => undefined, // what comes next is not concerned
    );
    return done;
  }

  async #submit(batch: Batch): Promise<void> {
    const { probed } = this.#refusals;
    if (probed) await this.#wait(probed);
    try {
      if (!this.#closed) await this.#compiled(batch);
      if (!this.#closed) this.#submitNow(batch); // closed: nobody could read what it would compute
    } catch (error) {
      this.#refusals.spoil(batch, error as Error);
      throw error;
    }
  }

  /**
   * Appends what `body` computes to a command encoder of the caller's, in a compute pass of its own, and submits nothing of
   * it. What was recorded before is submitted first. What `body` makes is released, but what it returns, which
   * holds its values once the caller has submitted the encoder: nothing may read it before.
   * @param body not asynchronous, without reads
   * @returns what `body` returned, and `submitted`, which the caller calls once it has submitted the encoder's commands, or has
   *   dropped them: until then the memory that they use is held back
   * @throws InputError for a body that is asynchronous, and where the device refuses the encoder (finished, of another device,
   *   inside a pass) or a wrapped buffer
   */
  async encode<T>(encoder: GPUCommandEncoder, body: () => T): Promise<{ result: T; submitted: () => void }> {
    const before = this.#flush();
    before.catch(() => undefined); // told below
    const result = this.tidy(body);
    const batch = this.#endBatch();
    const blocks = batch.runs.flatMap((run) => run.blocks.filter((block) => block !== undefined));
    const handOut = this.memory.withhold(new Set(blocks));
    try {
      const drop = await this.#inTurn(() => this.#append(encoder, batch));
      await before;
      if (result instanceof Promise) throw new InputError('encode: what it runs must not be asynchronous');
      return {
        result,
        submitted: () => {
          drop();
          handOut();
        },
      };
    } catch (error) {
      this.#refusals.spoil(batch, error as Error);
      handOut();
      throw error;
    }
  }

  async #append(encoder: GPUCommandEncoder, batch: Batch): Promise<() => void> {
    await this.#wait(this.#refusals.probed ?? Promise.resolve());
    await this.#compiled(batch);
    this.#throwFailure();
    this.#refusals.check(batch);
    const drop = await this.#wait(this.#encodings.append(encoder, batch));
    this.memory.submitted = batch.number;
    return drop;
  }

  async #compiled({ runs }: Batch): Promise<void> {
    const compiling = compileRuns(runs, this.#pipelines, this.meter);
    if (compiling) await this.#wait(compiling);
  }

  #submitNow(batch: Batch): void {
    const { number, runs } = batch;
    this.#options.observe?.(runs);
    const what = (): string => {
      const labels = runs.flatMap(({ plan }) => plan.dispatches.map(({ dispatch }) => dispatch.label));
      return `batch ${number} (${[...new Set(labels)].slice(0, 6).join(', ')})`;
    };
    this.#refusals.check(batch);
    const refuse = this.#refusals.watch(batch);
    this.#guard.run(what, () => this.#encoder.submit(batch, this.#profiler), refuse);
    void this.#guard.checked.then(() => this.#refusals.landed(batch));
  }

  /** Submits what is recorded and waits until the device has done it. Errors: any failure since the last wait. */
  async finish(): Promise<void> {
    await this.flush();
    this.#throwFailure();
    await this.#wait(this.device.queue.onSubmittedWorkDone());
    await this.#settle();
    const refused = this.#refusals.take();
    if (refused) throw refused;
  }

  /** The elements of one tensor, on the host. Flushes and waits. */
  async read(tensor: Tensor): Promise<Float32Array | Int32Array> {
    return (await this.readAll([tensor]))[0];
  }

  /** The elements of several tensors with one wait. */
  async readAll(tensors: readonly Tensor[]): Promise<(Float32Array | Int32Array)[]> {
    this.#throwFailure();
    for (const tensor of tensors) checkAccess('read', tensor, this);
    const reading = new TensorRead(tensors);
    const { blocks, bytes } = reading;
    // An upload must not take a block over before it has been copied.
    for (const block of blocks) block.lastUse = this.#batch;
    if (bytes > this.caps.maxBufferSize) {
      if (tensors.length === 1) throw new OutOfMemoryError(`read: ${bytes} bytes exceed maxBufferSize`);
      const parts: (Float32Array | Int32Array)[] = [];
      for (const tensor of tensors) parts.push(await this.read(tensor));
      return parts;
    }
    if (bytes === 0) {
      await this.flush();
      await this.#settle();
      return reading.values(new ArrayBuffer(0));
    }
    const staging = this.#readBacks.take(bytes);
    let usable = false;
    try {
      reading.staging = staging;
      await this.#flush(reading);
      this.#throwFailure();
      try {
        await this.#wait(staging.mapAsync(0x1, 0, bytes));
      } catch (error) {
        await this.#settle(); // throws the reason, where one is known
        throw new GpuValidationError(`read-back failed: ${(error as Error).message}`, { cause: error });
      }
      this.#throwFailure(); // closed meanwhile: nothing is mapped any more
      const values = reading.values(staging.getMappedRange(0, bytes));
      staging.unmap();
      usable = true;
      await this.#settle();
      const refused = blocks.map((block) => this.#refusals.of(block)).find(Boolean) ?? reading.failed;
      if (refused) throw refused;
      return values;
    } finally {
      if (usable) this.#readBacks.give(staging);
      else this.#readBacks.drop(staging);
    }
  }

  /** Runs `body` with a timestamp pair around every dispatch; the meter then has GPU times. Costs one pass each. */
  async profile<T>(body: () => Promise<T>): Promise<T> {
    if (!this.caps.timestamps) return body();
    await this.flush();
    this.#profiler = new Profiler(this.device);
    try {
      const result = await body();
      await this.finish();
      await this.#wait(this.#profiler.collect());
      return result;
    } finally {
      this.#profiler.destroy();
      this.#profiler = undefined;
    }
  }

  async #settle(): Promise<void> {
    await this.#wait(this.#guard.checked);
    this.#throwFailure();
  }

  #throwFailure(): void {
    if (this.#closed) throw new GpuValidationError('the runtime is closed');
    if (this.#guard.failure) throw this.#guard.failure;
  }

  async #wait<T>(promise: Promise<T>): Promise<T> {
    this.#waits++;
    try {
      return await (this.#options.wait ? this.#options.wait(promise) : promise);
    } finally {
      if (--this.#waits === 0 && this.#closed) this.#destroy();
    }
  }

  /**
   * Releases everything. The device is destroyed only where it is owned (OpenedDevice). Safe to call twice, and while reads
   * are pending: they reject (`the runtime is closed`) once what the device is at has ended, and it is destroyed then.
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    // Destroyed while it compiles, computes or writes, Dawn on a software driver hangs, aborts or crashes the process.
    this.#wait(this.device.queue.onSubmittedWorkDone()).catch(() => undefined);
  }

  #destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.memory.destroy();
    this.#encoder.destroy();
    this.#encodings.destroy();
    this.#readBacks.destroy();
    if (this.#opened.owned) this.device.destroy();
    delete this.#opened.gpu;
  }
}
