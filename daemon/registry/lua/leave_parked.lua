-- Take the delivered head of a parked session's queue away; an empty queue ends the parking.
-- KEYS 1 queue, 2 due times, 3 oldest times, 4 tries, 5 counts
-- ARGV 1 endpoint, 2 session, 3 entry id, or '' to look only
-- RETURNS 1 not parked any more, 0 more waits
if ARGV[3] ~= '' and redis.call('XDEL', KEYS[1], ARGV[3]) == 1 then
  redis.call('HINCRBY', KEYS[5], 'parked:' .. ARGV[1], -1)
end
redis.call('HDEL', KEYS[4], ARGV[2])
local head = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
if not head then
  redis.call('DEL', KEYS[1])
  redis.call('ZREM', KEYS[2], ARGV[2])
  redis.call('ZREM', KEYS[3], ARGV[2])
  return 1
end
redis.call('ZADD', KEYS[3], head[2][4], ARGV[2])
return 0
