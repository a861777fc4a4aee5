.POSIX:
PYTHON = python3
lock:
	uv pip compile --universal --fork-strategy fewest --python-version 3.11 --no-emit-index-url --generate-hashes --quiet \
	    --extra workflow --extra test pyproject.toml --output-file requirements.lock
