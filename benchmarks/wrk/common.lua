-- What every script ends with: one line of JSON for load.py.
local threads = {}

function setup(thread)
  table.insert(threads, thread)
  thread:set("number", #threads)
end

function done(summary, latency, requests)
  local good, bad, first_bad = 0, 0, ""
  for _, thread in ipairs(threads) do
    good = good + (thread:get("good") or 0)
    bad = bad + (thread:get("bad") or 0)
    if first_bad == "" then first_bad = thread:get("first_bad") or "" end
  end
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "status_errors": %d, "socket_errors": %d, "good": %d, "bad": %d, "first_bad": "%s"}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout, good, bad,
    (first_bad:gsub("[^%w ./:=_-]", " "))))
end

function remember_bad(status, body)
  bad = bad + 1
  if first_bad == "" then first_bad = tostring(status) .. " " .. tostring(body):sub(1, 150) end
end
