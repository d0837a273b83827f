"""Reaches pods as users of Python's `kubernetes` package do: by WebSockets in the fourth version of
their protocol, as bytes and as base64, and by its port-forward.

Usage: client.py BOX WEB, the names of a pod with a shell and of one that serves a page at 8080.
"""

import base64
import sys
import urllib.parse

import websocket
from kubernetes import client, config
from kubernetes.stream import portforward, stream

NAMESPACE = "default"


def expect(seen, expected):
    if seen != expected:
        raise SystemExit(f"saw {seen!r}, not {expected!r}")


def run(api, pod, script, **options):
    return stream(
        api.connect_get_namespaced_pod_exec,
        pod,
        NAMESPACE,
        command=["sh", "-c", script],
        stdout=True,
        stderr=True,
        **options,
    )


def commands(api, pod):
    expect(run(api, pod, "echo out"), "out\n")
    session = run(api, pod, "echo err >&2; exit 7", _preload_content=False)
    session.run_forever(timeout=60)
    expect((session.read_stderr(), session.returncode), ("err\n", 7))
    session = run(
        api, pod, "read line; echo got $line", stdin=True, _preload_content=False
    )
    session.write_stdin("some words\n")
    expect(session.readline_stdout(timeout=60), "got some words")
    session.run_forever(timeout=60)
    expect(session.returncode, 0)
    session = run(api, pod, "tty", stdin=True, tty=True, _preload_content=False)
    session.run_forever(timeout=60)
    if not session.read_stdout().startswith("/dev/pts/"):
        raise SystemExit("there is no terminal")


def base64_command(api, pod):
    settings = api.api_client.configuration
    query = urllib.parse.urlencode(
        [("command", "head"), ("command", "-n1"), ("stdin", "true"), ("stdout", "true")]
    )
    host = settings.host.replace("https://", "wss://")
    session = websocket.create_connection(
        f"{host}/api/v1/namespaces/{NAMESPACE}/pods/{pod}/exec?{query}",
        subprotocols=["v4.base64.channel.k8s.io"],
        timeout=60,
        sslopt={
            "ca_certs": settings.ssl_ca_cert,
            "certfile": settings.cert_file,
            "keyfile": settings.key_file,
        },
    )
    session.send("0" + base64.b64encode(b"a line\n").decode())
    heard = {"1": b"", "3": b""}
    while b"Success" not in heard["3"]:
        message = session.recv()
        heard[message[0]] += base64.b64decode(message[1:])
    expect(heard["1"], b"a line\n")
    session.close()


def forward(api, pod):
    ports = portforward(
        api.connect_get_namespaced_pod_portforward, pod, NAMESPACE, ports="8080"
    )
    connection = ports.socket(8080)
    connection.setblocking(True)
    connection.sendall(b"GET /page HTTP/1.0\r\nHost: web\r\n\r\n")
    answer = b""
    while piece := connection.recv(65536):
        answer += piece
    if not answer.endswith(b"\r\n\r\nthe page\n"):
        raise SystemExit(f"the answer was {answer!r}; {ports.error(8080)}")


def main():
    box, web = sys.argv[1:]
    config.load_kube_config()
    api = client.CoreV1Api()
    commands(api, box)
    base64_command(api, box)
    forward(api, web)


main()
