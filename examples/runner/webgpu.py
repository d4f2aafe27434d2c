"""The few functions of webgpu.h that run.py needs, from the library that WEBGPU_LIBRARY names: Dawn, or another."""
import ctypes, os, struct, sys

library = ctypes.CDLL(os.environ["WEBGPU_LIBRARY"])
STORAGE, UNIFORM, STAGING = 0x80 | 0x8 | 0x4, 0x40 | 0x8, 0x1 | 0x8
kept = []  # what C has pointers to


class StringView(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class CallbackInfo(ctypes.Structure):
    _fields_ = [("next", ctypes.c_void_p), ("mode", ctypes.c_uint32), ("function", ctypes.c_void_p)]
    _fields_ += [("userdata1", ctypes.c_void_p), ("userdata2", ctypes.c_void_p)]


def wgpu(name, *arguments):
    """Calls a function: bytes are a structure, an int is a handle, size or number, which all fit 64 bits."""
    function = library["wgpu" + name]
    function.restype = ctypes.c_void_p
    return function(*(ctypes.c_uint64(a) if isinstance(a, int) else a for a in arguments))


def address(data):
    kept.append(ctypes.create_string_buffer(data, len(data)))
    return ctypes.addressof(kept[-1])


def wait(name, *arguments, gives=[ctypes.c_void_p]):
    """Calls an asynchronous function; what its callback is given beside status and message, a handle."""
    told = []
    types = [ctypes.c_uint32, *gives, StringView, ctypes.c_void_p, ctypes.c_void_p]
    callback = ctypes.CFUNCTYPE(None, *types)(lambda *given: told.extend(given))
    wgpu(name, *arguments, CallbackInfo(None, 2, ctypes.cast(callback, ctypes.c_void_p)))  # 2: AllowProcessEvents
    while not told:
        wgpu("InstanceProcessEvents", instance)
    return told[1] if told[0] == 1 else sys.exit(f"{name}: status {told[0]}")


def make_buffer(size, usage, data=b""):
    buffer = wgpu("DeviceCreateBuffer", device, struct.pack("PPNQQI", 0, 0, 0, usage, size, 0))
    return write((buffer, 0), data)[0]


def write(place, data):
    wgpu("QueueWriteBuffer", queue, *place, data, len(data))
    return place


def make_pipeline(code, entry):
    source = struct.pack("PIPN", 0, 2, address(code), len(code))  # 2: ShaderSourceWGSL
    module = wgpu("DeviceCreateShaderModule", device, struct.pack("PPN", address(source), 0, 0))
    stage = struct.pack("PPPNNP", 0, module, address(entry), len(entry), 0, 0)
    return wgpu("DeviceCreateComputePipeline", device, struct.pack("PPNP", 0, 0, 0, 0) + stage)


instance = wgpu("CreateInstance", 0)
device = wait("AdapterRequestDevice", wait("InstanceRequestAdapter", instance, 0), 0)
queue = wgpu("DeviceGetQueue", device)
