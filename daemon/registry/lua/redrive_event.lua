-- Move a dead letter to the end of its session's queue at its endpoint, as if it had been told now.
-- KEYS 1 dead letters, 2 queue, 3 due times, 4 oldest times, 5 counts
-- ARGV 1 entry id of the dead letter, 2 endpoint, 3 session
-- RETURNS 1 moved, 0 there is no such dead letter any more
local found = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if not found then
  return 0
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
for at = 1, #found[2], 2 do
  if found[2][at] == 'event' then
    redis.call('XADD', KEYS[2], '*', 'event', found[2][at + 1], 'told', now)
  end
end
redis.call('ZADD', KEYS[3], 'NX', now, ARGV[3])
redis.call('ZADD', KEYS[4], 'NX', now, ARGV[3])
redis.call('XDEL', KEYS[1], ARGV[1])
redis.call('HINCRBY', KEYS[5], 'dead:' .. ARGV[2], -1)
redis.call('HINCRBY', KEYS[5], 'parked:' .. ARGV[2], 1)
return 1
