"""The backend that all tools are compared over: one `brigade serve` process, the requests that its log tells of, and a
client that looks into the buckets past the mounts."""

import datetime
import hashlib
import hmac
import http.client
import json
import os
import re
import subprocess
import time
import urllib.parse
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor

KEY, SECRET, REGION = "AKIDBENCH", "secret-of-the-benchmark", "us-east-1"


class Backend:
    """A running backend; its data and its log are in `home`."""

    def __init__(self, program, home, buckets, faults):
        self.log_path = os.path.join(home, "requests.json")
        said = os.path.join(home, "serve.out")
        command = [program, "serve", os.path.join(home, "data"), "--listen", "127.0.0.1:0", "--no-sync"]
        command += ["--log", "json", "--log-file", self.log_path]
        for bucket in buckets:
            command += ["--bucket", bucket]
        if faults:
            plan = os.path.join(home, "faults.toml")
            with open(plan, "w", encoding="ascii") as file:
                file.write(faults)
            command += ["--faults", plan]
        # Injected latencies are a line each in the log otherwise.
        env = dict(os.environ, BRIGADE_LOG="error,brigade::server::service=debug")
        env.update(BRIGADE_ACCESS_KEY_ID=KEY, BRIGADE_SECRET_ACCESS_KEY=SECRET)
        with open(said, "wb") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env)
        while True:
            with open(said, encoding="utf-8") as file:
                text = file.read()
            found = re.search(r"^serving .* at (http://\S+)$", text, re.M)
            if found:
                break
            if self.process.poll() is not None:
                raise SystemExit(f"bench: the backend does not start: {text.strip()}")
            time.sleep(0.02)
        self.endpoint = found[1]

    def stop(self):
        """Ends it."""
        self.process.terminate()
        self.process.wait()

    def mark(self):
        """A place in the log, to count requests from."""
        return os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0

    def requests(self, begin, end=None):
        """How many requests were answered between two places of the log, by method."""
        counts = {}
        with open(self.log_path, "rb") as file:
            file.seek(begin)
            text = file.read() if end is None else file.read(end - begin)
        for line in text.splitlines():
            fields = json.loads(line)["fields"]
            if fields.get("message") == "answered":
                counts[fields["method"]] = counts.get(fields["method"], 0) + 1
        return counts

    def until_quiet(self, seconds):
        """Waits until no request has been answered for so long, and says where the log ends."""
        place, since = self.mark(), time.monotonic()
        while time.monotonic() - since < seconds:
            time.sleep(0.05)
            if self.mark() != place:
                place, since = self.mark(), time.monotonic()
        return place

    def request(self, method, path, query=(), take=http.client.HTTPResponse.read):
        """One signed request; the status of its answer, and what `take` makes of it: its body."""
        host = self.endpoint.removeprefix("http://")
        now = datetime.datetime.now(datetime.timezone.utc)
        stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
        path = urllib.parse.quote(path, safe="/-_.~")
        query = "&".join(sorted(f"{quoted(name)}={quoted(value)}" for name, value in query))
        headers = {"host": host, "x-amz-content-sha256": "UNSIGNED-PAYLOAD", "x-amz-date": stamp}
        names = ";".join(headers)
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        canonical = f"{method}\n{path}\n{query}\n{lines}\n{names}\nUNSIGNED-PAYLOAD"
        scope = f"{day}/{REGION}/s3/aws4_request"
        to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = f"AWS4{SECRET}".encode()
        for word in (day, REGION, "s3", "aws4_request", to_sign):
            key = hmac.new(key, word.encode(), "sha256").digest()
        credential = f"AWS4-HMAC-SHA256 Credential={KEY}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
        connection = http.client.HTTPConnection(host, timeout=120)
        try:
            connection.request(method, f"{path}?{query}", headers=dict(headers, authorization=credential))
            answer = connection.getresponse()
            return answer.status, take(answer)
        finally:
            connection.close()

    def list(self, bucket, prefix):
        """Keys with this prefix and their sizes."""
        found, token = {}, None
        while True:
            query = [("list-type", "2"), ("prefix", prefix)] + ([("continuation-token", token)] if token else [])
            status, body = self.request("GET", f"/{bucket}", query)
            assert status == 200, f"the listing of {bucket} answers {status}"
            root = ElementTree.fromstring(body)
            name = root.tag.removesuffix("ListBucketResult")
            for element in root.iter(f"{name}Contents"):
                found[element.findtext(f"{name}Key")] = int(element.findtext(f"{name}Size"))
            token = root.findtext(f"{name}NextContinuationToken")
            if not token:
                return found

    def sum(self, bucket, key):
        """SHA-256 of an object; `None` if there is none."""
        status, found = self.request("GET", f"/{bucket}/{key}", take=digest)
        return found if status == 200 else None

    def sums(self, bucket, keys):
        """SHA-256 of many objects."""
        with ThreadPoolExecutor(16) as pool:
            return dict(zip(keys, pool.map(lambda key: self.sum(bucket, key), keys)))


def quoted(text):
    """As signatures want queries."""
    return urllib.parse.quote(text, safe="-_.~")


def digest(answer):
    """SHA-256 of a body, without holding it."""
    found = hashlib.sha256()
    while block := answer.read(1 << 20):
        found.update(block)
    return found.hexdigest()
