"""Runs exported folders (docs/export.md) on a native WebGPU and compares what they make with what is expected:
    WEBGPU_LIBRARY=path/to/libwebgpu.so python3 run.py FOLDER...
It knows the manifest and nothing else of Spanwise. The device has WebGPU's default limits."""
import array, ctypes, json, math, os, struct, sys
from webgpu import STAGING, STORAGE, UNIFORM, address, device, make_buffer, make_pipeline, queue, wait, wgpu, write


def stored(folder, place):
    with open(f"{folder}/{place['file']}", "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        return file.read()[slice(*header[place["tensor"]]["data_offsets"])]


def run(folder):
    """Runs the parts of a manifest; yields the name and the error of each output that is expected."""
    manifest, pipelines, places = json.load(open(f"{folder}/manifest.json")), {}, {}
    for part in manifest["parts"]:
        name, inputs, outputs = part["name"], part["inputs"], part["outputs"]
        own = {buffer["name"]: make_buffer(buffer["bytes"], STORAGE) for buffer in part["buffers"]}
        places.update({(name, t["name"]): (own[t["buffer"]], t["offset"]) for t in inputs + outputs})
        encoder = wgpu("DeviceCreateCommandEncoder", device, 0)
        for table in part["tables"]:
            write((own[table["buffer"]], table["offset"]), array.array("i", table["values"]).tobytes())
        for tensor in inputs:
            if tensor.get("from", {"as": "gradient"})["as"] == "gradient":
                if "values" not in tensor:
                    sys.exit(f"{folder}: there are no values of inputs: export it with vectors")
                write(places[name, tensor["name"]], stored(folder, tensor["values"]))
            else:
                pair = places[tensor["from"]["part"], tensor["from"]["name"]] + places[name, tensor["name"]]
                wgpu("CommandEncoderCopyBufferToBuffer", encoder, *pair, tensor["bytes"])
        compute = wgpu("CommandEncoderBeginComputePass", encoder, 0)
        for dispatch in part["dispatches"]:
            shader, entry = dispatch["shader"], dispatch["entryPoint"]
            if shader not in pipelines:
                pipelines[shader] = make_pipeline(open(f"{folder}/{shader}", "rb").read(), entry.encode())
            bound = [(b["binding"], own[b["buffer"]], b["offset"], b["size"]) for b in dispatch["bindings"]]
            for u in [dispatch["uniforms"]] if "uniforms" in dispatch else []:
                words = array.array("I", u["words"]).tobytes()
                bound.append((u["binding"], make_buffer(u["bytes"], UNIFORM, words), 0, u["bytes"]))
            entries = b"".join(struct.pack("PIPQQPP", 0, *entry, 0, 0) for entry in bound)
            layout = wgpu("ComputePipelineGetBindGroupLayout", pipelines[shader], 0)
            group = struct.pack("PPNPNP", 0, 0, 0, layout, len(bound), address(entries))
            wgpu("ComputePassEncoderSetPipeline", compute, pipelines[shader])
            wgpu("ComputePassEncoderSetBindGroup", compute, 0, wgpu("DeviceCreateBindGroup", device, group), 0, 0)
            wgpu("ComputePassEncoderDispatchWorkgroups", compute, *dispatch["workgroups"])
        wgpu("ComputePassEncoderEnd", compute)
        staged = [make_buffer(max(4, output["bytes"]), STAGING) for output in outputs]
        for output, staging in zip(outputs, staged):
            place = places[name, output["name"]]
            wgpu("CommandEncoderCopyBufferToBuffer", encoder, *place, staging, 0, output["bytes"])
        wgpu("QueueSubmit", queue, 1, struct.pack("P", wgpu("CommandEncoderFinish", encoder, 0)))
        for output, staging in zip(outputs, staged):
            if "expected" in output and output["bytes"]:
                wait("BufferMapAsync", staging, 1, 0, output["bytes"], gives=[])
                mapped = wgpu("BufferGetConstMappedRange", staging, 0, output["bytes"])
                kind = {"f32": "f", "i32": "i"}[output["dtype"]]
                values = array.array(kind, ctypes.string_at(mapped, output["bytes"]))
                expected = array.array(kind, stored(folder, output["expected"]))
                norm = lambda numbers: math.sqrt(sum(v * v for v in numbers))
                error = norm(a - e for a, e in zip(values, expected)) / max(norm(expected), 1e-3)
                yield f"{folder}  {name}.{output['name']}", error, error <= manifest["vectors"]["tolerance"]


folders, right = sys.argv[1:] or sys.exit("usage: run.py FOLDER..."), True
for folder in folders:
    results = list(run(folder))
    for name, error, agrees in results:
        print(f"{name}  error {error:.1e}  {'agrees' if agrees else 'WRONG'}")
    if not results:
        print(f"{folder}: nothing to compare with: export it with vectors", file=sys.stderr)
    right = right and bool(results) and all(agrees for _, _, agrees in results)
sys.stdout.flush()
os._exit(0 if right else 1)  # drivers may crash where Python unloads them
