#!/usr/bin/env python3
"""What prune asks of GitHub's API, from a file: lines `closed NUMBER` and `branch NAME`. Usage: github.py FILE

Prints its address, then serves until it is killed. A request that it does not know is a 404, as an unknown pull request is.
"""
import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        with open(sys.argv[1]) as file:
            known = [line.split() for line in file]
        closed = {int(name) for kind, name in known if kind == "closed"}
        branches = [name for kind, name in known if kind == "branch"]
        pull = re.fullmatch(r"/repos/[^/]+/[^/]+/pulls/(\d+)", self.path)
        answer = None
        if pull and int(pull[1]) in closed:
            answer = {"number": int(pull[1]), "state": "closed", "closed_at": "2020-01-01T00:00:00Z"}
        elif re.fullmatch(r"/repos/[^/]+/[^/]+/git/matching-refs/heads", self.path):
            answer = [{"ref": "refs/heads/" + name} for name in branches]
        elif re.fullmatch(r"/repos/[^/]+/[^/]+", self.path):
            answer = {"full_name": self.path.removeprefix("/repos/")}
        body = json.dumps(answer or {"message": "Not Found"}).encode()
        self.send_response(200 if answer is not None else 404)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
