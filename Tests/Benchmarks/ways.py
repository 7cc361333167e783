"""The ways in which a program is run: plain, with heaptide, and with the peers that Debian and PyPI provide."""

import contextlib
import functools
import os
import select
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "EndToEnd/checks"))
from support import run, shutil, start, stop, with_probe, work

WORKLOADS = Path(__file__).resolve().parent / "workloads"
LIBRARIES = Path("/usr/lib") / f"{os.uname().machine}-linux-gnu"

#: Debian's, also where another comes first on the path: memray has to find the same one.
PYTHON = "/usr/bin/python3"


class Failed(Exception):
    """A run that did not do its work; says what happened."""


@dataclass(frozen=True)
class Way:
    """A program's environment, and what is put before its command."""

    name: str
    environment: dict = field(default_factory=dict)
    prefix: tuple = ()
    #: What the profiler's own cost is measured against: its allocator without it.
    base: str = "plain"
    #: So slow that a few pairs have to do.
    slow: bool = False
    #: Takes the place of the interpreter, and so runs nothing but Python.
    interpreter: tuple = ()

    def command(self, command):
        command = [str(part) for part in command]
        if self.interpreter:
            command = list(self.interpreter) + command[1:]
        return list(self.prefix) + command

    def variables(self, extra):
        variables = {name: value for name, value in os.environ.items() if not name.startswith("HEAPTIDE_")}
        return {**variables, **self.environment, **(extra or {})}

    def start(self, *command, env=None, **options):
        return start(*self.command(command), env=self.variables(env), **options)

    def launch(self, *command, env=None, cores=None):
        """On some of the cores that there are, or on any."""
        return subprocess.Popen(
            self.command(command), env=self.variables(env), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True, cwd=work, **on(cores))


def on(cores):
    """What lets a program run on these cores; without any, on all."""
    return {"preexec_fn": lambda: os.sched_setaffinity(0, cores)} if cores else {}


def first_to_end(processes, timeout=300):
    """Number of the process that ends first, or 0 where none does."""
    handles = [os.pidfd_open(process.pid) for process in processes]
    try:
        return next(iter(map(handles.index, select.select(handles, [], [], timeout)[0])), 0)
    finally:
        for handle in handles:
            os.close(handle)


@contextlib.contextmanager
def running(launch):
    """Ends the process that `launch()` gives, at the end."""
    process = launch()
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def cpu_seconds(process, timeout=300):
    """User and system time of a process that was launched, and of all that it waited for, such as heaptrack's interpreter,
    when it has ended."""
    handle = os.pidfd_open(process.pid)
    try:
        if not select.select([handle], [], [], timeout)[0]:
            raise Failed(f"not done in {timeout} s")
    finally:
        os.close(handle)
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise Failed(f"ended with status {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def forget():
    """Removes what the last run has recorded, so that the disk is as empty for the next."""
    shutil.rmtree(work / "ledgers", ignore_errors=True)
    for recording in work.glob("*.out*"):
        recording.unlink()


def program_of(pid, binary):
    """The process that runs `binary`: `pid` itself, or what a profiler's script with that pid has started."""
    try:
        if Path(f"/proc/{pid}/exe").resolve() == Path(binary).resolve():
            return pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return None
    return next(filter(None, (program_of(int(child), binary) for child in children)), None)


def end(server, program):
    """Asks the server itself to end, and waits for it and for the script that has started it."""
    if program and program != server.pid and server.poll() is None:
        os.kill(program, signal.SIGTERM)
        server.wait(60)
    status = stop(server)
    if status != 0:
        raise Failed(f"a server ended with status {status}")


@functools.cache
def compile_c(source, *options):
    """Where a program, or with `-shared` a library, of `workloads` is made."""
    target = work / Path(source).stem
    flags = ("-O2", "-fno-builtin", "-Wall", "-Wextra", "-pthread", *options)
    made = run("gcc", *flags, "-o", target, WORKLOADS / source)
    if made.returncode != 0:
        sys.exit(f"{source}: cannot be compiled: {made.stderr}")
    return target


def heaptide(interval=None):
    names = ("LD_PRELOAD", "HEAPTIDE_DIR", "HEAPTIDE_SAMPLE_INTERVAL")
    probed = with_probe(work / "ledgers", interval)
    return Way("heaptide", {name: probed[name] for name in names if name in probed})


def all_ways(peers, python):
    """The ways there are, neighbours as they are compared, and why others are not there. `peers`: other profilers too,
    and `python`: also those that run nothing but Python."""
    ways = [
        Way("forwarding", {"LD_PRELOAD": str(compile_c("forward.c", "-shared", "-fPIC"))}),
        heaptide(),
        Way("plain"),
    ]
    missing = []
    for peer in ((_tcmalloc, _jemalloc, _heaptrack) + ((_memray,) if python else ())) if peers else ():
        found = peer()
        if isinstance(found, str):
            missing.append(found)
        else:
            ways += found
    return ways, missing


def _tcmalloc():
    library = LIBRARIES / "libtcmalloc.so.4"
    if not library.exists():
        return f"gperftools: no {library.name} (samples/install-packages.sh --benchmarks)"
    preload = {"LD_PRELOAD": str(library)}
    sampling = {**preload, "TCMALLOC_SAMPLE_PARAMETER": "524288"}
    return [Way("tcmalloc", preload), Way("gperftools", sampling, base="tcmalloc")]


def _jemalloc():
    library = LIBRARIES / "libjemalloc.so.2"
    if not library.exists():
        return f"jemalloc: no {library.name} (samples/install-packages.sh --benchmarks)"
    asks = (
        "import ctypes; on, size = ctypes.c_bool(), ctypes.c_size_t(1); ctypes.CDLL('libjemalloc.so.2')"
        ".mallctl(b'config.prof', ctypes.byref(on), ctypes.byref(size), None, 0); print(on.value)")
    preload = {"LD_PRELOAD": str(library)}
    if run(PYTHON, "-c", asks, env={**os.environ, **preload}).stdout != "True\n":
        return f"jemalloc: {library} was built without its profiler"
    profiling = {**preload, "MALLOC_CONF": "prof:true,prof_active:true"}
    return [Way("jemalloc", preload), Way("jemalloc prof", profiling, base="jemalloc")]


def _heaptrack():
    script = shutil.which("heaptrack")
    if not script:
        return "heaptrack: not installed (samples/install-packages.sh --benchmarks)"
    return [Way("heaptrack", prefix=(script, "-o", str(work / "heaptrack.out")), slow=True)]


def _memray():
    folder = work / "memray"
    installs = [(PYTHON, "-m", "venv", folder), (folder / "bin/python", "-m", "pip", "install", "--quiet", "memray")]
    try:
        for command in installs:
            done = run(*command, timeout=300)
            if done.returncode != 0:
                last = (done.stderr or done.stdout).strip().splitlines()[-1:]
                return f"memray: not to be installed from PyPI: {''.join(last)}"
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"memray: not to be installed from PyPI: {error}"
    options = ("-m", "memray", "run", "--native", "--quiet", "--force", "--output", str(work / "memray.out"))
    return [Way("memray", interpreter=(str(folder / "bin/python"), *options), slow=True)]
