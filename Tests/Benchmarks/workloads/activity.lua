-- wrk: a quarter records activity, a quarter reads it, half shows products; the same requests in every run.
local number = 0

request = function()
   number = number + 1
   local user = "user-" .. number * 7919 % 1000
   local kind = number % 4
   if kind == 0 then
      local body = '{"action": "view", "page": "/products/' .. number % 97 .. '"}'
      return wrk.format("POST", "/activity/" .. user, { ["Content-Type"] = "application/json" }, body)
   elseif kind == 1 then
      return wrk.format("GET", "/activity/" .. user)
   end
   return wrk.format("GET", "/products/" .. number * 7919 % 5000)
end

done = function(summary, latency)
   local errors = summary.errors
   io.write(string.format("requests %d\nmicroseconds %d\np99 %.1f\nerrors %d\n", summary.requests, summary.duration,
      latency:percentile(99.0), errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
