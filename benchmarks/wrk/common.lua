-- What every script ends with: one line of JSON for load.py.
local threads = {}

function setup(thread)
  table.insert(threads, thread)
  thread:set("number", #threads)
end

local function total(name)
  local sum = 0
  for _, thread in ipairs(threads) do sum = sum + (thread:get(name) or 0) end
  return sum
end

function done(summary, latency, requests)
  local first_bad = ""
  for _, thread in ipairs(threads) do
    if first_bad == "" then first_bad = thread:get("first_bad") or "" end
  end
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "status_errors": %d, "socket_errors": %d, "good": %d, "refused": %d, "bad": %d, "first_bad": "%s"}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout, total("good"), total("refused"), total("bad"),
    (first_bad:gsub("[^%w ./:=_-]", " "))))
end
