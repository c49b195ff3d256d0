-- Move an event to the dead letters, from an endpoint's group or from a parked session's queue.
-- KEYS 1 where it waits: events, or the queue, 2 dead letters, 3 counts, and of a queue 4 tries
-- ARGV 1 'group' or 'queue', 2 entry id, 3 endpoint, 4 most dead letters, 5 session of a queue,
--   then the fields of the dead letter
-- RETURNS 1 buried, 0 it did not wait any more
if ARGV[1] == 'group' then
  if redis.call('XACK', KEYS[1], 'to:' .. ARGV[3], ARGV[2]) == 0 then
    return 0
  end
else
  local head = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
  if redis.call('XDEL', KEYS[1], ARGV[2]) == 0 then
    return 0
  end
  if head[1] == ARGV[2] then
    -- They are the first event's: its hour of 404 must not be counted against the one after it.
    redis.call('HDEL', KEYS[4], ARGV[5])
  end
  redis.call('HINCRBY', KEYS[3], 'parked:' .. ARGV[3], -1)
end
while redis.call('XLEN', KEYS[2]) >= tonumber(ARGV[4]) do
  local oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
  if not oldest then
    break
  end
  for at = 1, #oldest[2], 2 do
    if oldest[2][at] == 'endpoint' then
      redis.call('HINCRBY', KEYS[3], 'dead:' .. oldest[2][at + 1], -1)
      redis.call('HINCRBY', KEYS[3], 'forgotten:' .. oldest[2][at + 1], 1)
    end
  end
  redis.call('XDEL', KEYS[2], oldest[1])
end
redis.call('XADD', KEYS[2], '*', unpack(ARGV, 6))
redis.call('HINCRBY', KEYS[3], 'dead:' .. ARGV[3], 1)
return 1
