#!/bin/sh
# A Chromium for the browser tests: use what is there, else Debian's package where we may install it.
# Without one the browser tests are skipped by name and everything else runs.
for name in chromium chromium-browser google-chrome; do
	command -v "$name" >/dev/null 2>&1 && exit 0
done
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
	echo "Installing Chromium for the browser tests …"
	apt-get update -qq >/dev/null 2>&1
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null 2>&1 && exit 0
fi
echo "No Chromium here: the browser tests will be skipped. Install the package “chromium” to run them."
exit 0
