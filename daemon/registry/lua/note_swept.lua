-- Say when sessions are looked at next, but of those that were noted since they were found due.
-- KEYS 1 senders
-- ARGV 1 least time until then (ms), then session, the score it was found with, what sweep_sends returned, ...
-- RETURNS nothing
local now = redis.call('TIME')
local ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
for at = 2, #ARGV, 3 do
  local left = tonumber(ARGV[at + 2])
  if redis.call('ZSCORE', KEYS[1], ARGV[at]) == ARGV[at + 1] then
    if left < 0 then
      redis.call('ZREM', KEYS[1], ARGV[at])
    elseif left > 0 then
      redis.call('ZADD', KEYS[1], ms + math.max(left, tonumber(ARGV[1])), ARGV[at])
    end
  end
end
