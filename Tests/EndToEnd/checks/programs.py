#!/usr/bin/env -S python3 -B
"""Programs that nobody here wrote.

redis-server, whose allocator is jemalloc, is filled with random keys until its limit comes near: the snapshot has to
name its key-setting functions. sqlite3, python3, nginx, a Swift service on hummingbird and a program that throws 100,000
C++ exceptions, half of them inside a library that it loads and unloads, have to behave the same with and without the
probe. The handler of the Swift service that leaks has to be named, though it only awaits who allocates.

    Tests/EndToEnd/checks/programs.py [REDIS-RUNS]     default 1
"""

import http.client
import sys

from support import *

SETS_A_KEY = re.compile(r"^(setCommand|setGenericCommand|setKey|genericSetKey|dbAdd|dbSetValue|dbOverwrite|genericSetCommand)$")


# redis


def redis(number):
    output, port = work / f"redis-{number}", free_port()
    output.mkdir()
    server = ["redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", output]
    agent = start(HEAPTIDE, "run", "--output", output, "--memory-limit", "128MiB", "--", *server, log=output / "log")
    check(wait_for(lambda: is_listening(port), 20), "redis: listens")
    fill = ["-r", 100_000_000, "-n", 100_000_000, "-q", "-t", "set"]
    client = start("redis-benchmark", "-h", "127.0.0.1", "-p", port, *fill)
    taken = wait_for(lambda: list(output.glob("*-limit.heaptide")), 120)
    stop(client)
    status = stop(agent)
    if not check(taken, "redis: snapshot taken before the limit"):
        note((output / "log").read_text()[-2000:])
        return
    check(status == 0, f"redis: ends in order when heaptide is asked to end (status {status})")
    suspect = first_suspect(analyze(taken[0]))
    names = [frame["function"] for frame in suspect["stack"]] if suspect else []
    setters = [name for name in names if SETS_A_KEY.match(name)]
    check(setters, f"redis: first suspect's stack runs through {', '.join(setters) or 'no key-setting function'}")
    note("stack: " + " < ".join(names[:14]))


# A Swift service whose handlers are async


def awaited_handler():
    """The handler that leaks awaits an actor: it is on no physical stack when memory is allocated."""
    log, file, folder = work / "api.log", work / "api.heaptide", work / "ledgers-api"
    server = start(BUILD / "activity-api", "--port", 0, log=log, env=with_probe(folder))
    listens = wait_for(lambda: re.search(r"^listening on (\d+)\n", log.read_text()), 10)
    if not check(listens, "activity-api: listens"):
        return
    requests = ROOT / "Tests/Benchmarks/workloads/activity.lua"
    run("wrk", "-t", 1, "-c", 8, "-d", "13s", "-s", requests, f"http://127.0.0.1:{listens.group(1)}", check=True)
    taken = run(HEAPTIDE, "snapshot", server.pid, "--output", file, "--ledgers", folder)
    stop(server)
    if not check(taken.returncode == 0, f"activity-api: snapshot taken {taken.stderr.strip()}"):
        return
    suspect = first_suspect(analyze(file))
    names = [frame["function"] for frame in suspect["stack"]] if suspect else []
    check(
        any("ActivityHandler.record" in name for name in names),
        f"activity-api: the handler that awaits is on the first suspect's stack: {' < '.join(names[:6])}",
    )


# The same with and without


def compare(name, behaviour, interval=None):
    """`behaviour(environment)` must be equal with and without the probe, and the probe must have been there."""
    folder = work / f"ledgers-{name}"
    plain = behaviour(dict(os.environ))
    probed = behaviour(with_probe(folder, interval))
    same = plain == probed
    size = sum(len(str(part)) for part in plain)
    check(same, f"{name}: same behaviour with the probe, {size:,} characters compared")
    if not same:
        note(f"without: {str(plain)[:500]}")
        note(f"with:    {str(probed)[:500]}")
    check(list(folder.rglob("*.ledger")), f"{name}: the probe recorded it")


def outcome(*command):
    def behaviour(environment):
        result = run(*command, env=environment)
        return result.returncode, result.stdout, result.stderr

    return behaviour


SQLITE = """
CREATE TABLE event(id INTEGER PRIMARY KEY, user TEXT, amount REAL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
INSERT INTO event SELECT i, 'user-' || (i * 7919 % 500), i * 0.25 FROM n;
CREATE INDEX by_user ON event(user);
SELECT user, count(*), sum(amount) FROM event GROUP BY user ORDER BY user;
SELECT group_concat(name, ',') FROM sqlite_schema;
SELECT no_such_column FROM event;
"""

PYTHON = """
import collections, concurrent.futures, decimal, hashlib, json, re, sqlite3, sys, zlib
words = [f"word-{i * 7919 % 1000}" for i in range(20_000)]
def digest(n): return hashlib.sha256(json.dumps(words[:n]).encode()).hexdigest()
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    print(*pool.map(digest, range(0, 20_000, 1000)), sep="\\n")
print(collections.Counter(words).most_common(5), len(zlib.compress("".join(words).encode())))
print(decimal.Decimal(2).sqrt(), re.findall(r"(\\d+)", words[3]), sqlite3.connect(":memory:").execute("select 6*7").fetchall())
sys.exit(len(words) % 256)
"""


def nginx(environment):
    """Everything that nginx, with a worker of its own process, answers and logs."""
    folder, port = Path(tempfile.mkdtemp(dir=work)), free_port()
    (folder / "index.html").write_text("".join(f"<p>{i}</p>\n" for i in range(20_000)))
    # As root the worker would become another user, who may not read our folder.
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(f"""
        {user} worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log crit;
        events {{ worker_connections 64; }}
        http {{
            access_log off; root {folder}; gzip on; gzip_types *; types {{ text/html html; }}
            client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
            uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
            server {{ listen 127.0.0.1:{port}; location /moved {{ return 301 /; }} }}
        }}""")
    binary = shutil.which("nginx") or "/usr/sbin/nginx"
    server = start(binary, "-e", "stderr", "-c", folder / "nginx.conf", env=environment)
    wait_for(lambda: is_listening(port), 10)
    answers = []
    for number in range(100):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        headers = {"Accept-Encoding": "gzip"} if number % 2 else {}
        connection.request("GET", ["/", "/index.html", "/absent", "/moved"][number % 4], headers=headers)
        answer = connection.getresponse()
        location = (answer.getheader("Location") or "").replace(str(port), "PORT")
        answers.append((answer.status, answer.getheader("Content-Encoding"), location, answer.read()))
        connection.close()
    status = stop(server, signal.SIGQUIT)
    return status, (folder / "error.log").read_text(), answers


def activity_api(environment):
    """Everything that the sample on hummingbird answers, whose handlers are async, and its end while it is connected."""
    log = Path(tempfile.mkdtemp(dir=work)) / "log"
    server = start(BUILD / "activity-api", "--port", 0, "--no-leak", log=log, env=environment)
    listens = wait_for(lambda: re.search(r"^listening on (\d+)\n", log.read_text()), 10)
    connection = http.client.HTTPConnection("127.0.0.1", int(listens.group(1)) if listens else 0, timeout=10)
    answers = []
    for number in range(400):
        user, activity = f"/activity/user-{number % 7}", json.dumps({"action": "view", "page": f"/products/{number}"})
        paths = {0: f"/products/{number * 7919}", 1: user, 2: "/health", 3: "/products/none", 4: "/absent"}
        for method, path in (("POST", user), ("GET", paths[number % 5])):
            connection.request(method, path, body=activity if method == "POST" else None)
            answer = connection.getresponse()
            body = answer.read().decode()
            # The order of keys is another in each process.
            answers.append((answer.status, json.loads(body) if body.startswith("[") else body))
    status = stop(server)
    connection.close()
    said = log.read_text().partition("\n")[2]
    if said != "recorded 400 events, keeps 140\n":
        check(False, f"activity-api: says what it keeps: {said!r}")
    return status, said, answers


THROWER = """
#include <stdexcept>
#include <string>
#include <vector>
extern "C" void throwFrom(int depth, int number) {
    std::vector<std::string> held(3, std::string(100, 'x'));
    if (depth > 0) return throwFrom(depth - 1, number);
    if (number % 3 == 0) throw std::out_of_range("library " + std::to_string(number));
    throw number;
}
"""

CATCHER = """
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <stdexcept>
#include <string>
struct Guard { long &count; ~Guard() { count++; } };
static void throwHere(int depth, int number, long &unwound) {
    Guard guard{unwound};
    if (depth > 0) { throwHere(depth - 1, number, unwound); return; }
    throw std::runtime_error("program " + std::to_string(number));
}
int main(int, char **arguments) {
    long unwound = 0, caught[3] = {0, 0, 0}, sum = 0;
    for (int round = 0; round < 10; round++) {
        void *library = dlopen(arguments[1], RTLD_NOW);
        auto throwThere = reinterpret_cast<void (*)(int, int)>(dlsym(library, "throwFrom"));
        for (int i = 0; i < 10'000; i++) {
            try {
                if (i % 2) throwThere(i % 20, i); else throwHere(i % 20, i, unwound);
            } catch (const std::out_of_range &error) { caught[0]++; sum += std::string(error.what()).size();
            } catch (const std::exception &error) { caught[1]++; sum += std::string(error.what()).size();
            } catch (int number) { caught[2]++; sum += number; }
        }
        dlclose(library);
    }
    std::printf("%ld %ld %ld, %ld unwound, sum %ld\\n", caught[0], caught[1], caught[2], unwound, sum);
}
"""


def build_exceptions():
    (work / "thrower.cpp").write_text(THROWER)
    (work / "catcher.cpp").write_text(CATCHER)
    library, program = work / "libthrower.so", work / "catcher"
    run("g++", "-O2", "-shared", "-fPIC", "-o", library, work / "thrower.cpp", check=True)
    run("g++", "-O2", "-o", program, work / "catcher.cpp", check=True)
    return program, library


compare("sqlite3", outcome("sqlite3", ":memory:", SQLITE))
(work / "program.py").write_text(PYTHON)
compare("python3", outcome("/usr/bin/python3", work / "program.py"))
compare("nginx", nginx)
compare("activity-api", activity_api)
awaited_handler()
exceptions = build_exceptions()
compare("exceptions", outcome(*exceptions))
compare("exceptions-exact", outcome(*exceptions), interval=1)
for number in range(int(sys.argv[1]) if len(sys.argv) > 1 else 1):
    redis(number)
finish()
