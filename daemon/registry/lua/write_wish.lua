-- Change what is wanted of a session; optionally count its serial up; optionally only while nobody holds the lease.
-- KEYS 1 record, 2 lease
-- ARGV 1 '1' to count the serial up, 2 '1' to refuse while the lease is held, then field, value, ...
-- RETURNS 1 written, 0 no such record, -1 held
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
if ARGV[2] == '1' and redis.call('EXISTS', KEYS[2]) == 1 then
  return -1
end
if #ARGV > 2 then
  redis.call('HSET', KEYS[1], unpack(ARGV, 3))
end
if ARGV[1] == '1' then
  redis.call('HINCRBY', KEYS[1], 'serial', 1)
end
return 1
