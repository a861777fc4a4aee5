"""Perceptual weights are fetched once, verified, and refused where they are something else."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from sluguq.networks.perceptual import published as pretrained
from sluguq.networks.perceptual.published import weights_file
from sluguq.stages.perceptual_weights import WeightsMismatch, fetch_weights

CONTENT = b"weights" * 1000


@pytest.fixture
def address():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT)

        def log_message(self, *arguments):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/weights.pth"
    server.shutdown()


def test_verified_weights_appear(address, tmp_path, monkeypatch):
    monkeypatch.setitem(pretrained._SHA256_PREFIX, "vgg19", hashlib.sha256(CONTENT).hexdigest()[:8])
    fetch_weights("vgg19", tmp_path / "vgg19.pth", url=address)
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".pth"] == ["vgg19.pth"]
    assert (tmp_path / "vgg19.pth").read_bytes() == CONTENT


def test_other_weights_are_refused_and_deleted(address, tmp_path):
    with pytest.raises(WeightsMismatch, match="not with dcbb9e9d"):
        fetch_weights("vgg19", tmp_path / "vgg19.pth", url=address)
    assert not list(tmp_path.glob("*.pth*"))


def test_names_and_addresses():
    assert weights_file("vgg19").filename == "vgg19-dcbb9e9d.pth"
    assert weights_file("vgg19").url.endswith("/vgg19-dcbb9e9d.pth")
    with pytest.raises(ValueError, match="vgg19, squeezenet1_1"):
        weights_file("alexnet")
