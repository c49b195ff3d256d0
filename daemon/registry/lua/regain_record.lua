-- Write the record of a session that runs as its holder knows it, after Redis lost data.
-- A record that is older than the holder's (its serial is lower), or gone, is written whole; else only the holder's fields.
-- Nothing is written unless the session's epoch is 'lost': a call that a timeout cut off may come after the one that was
-- made in its place, and after newer writes.
-- KEYS 1 record, 2 token, 3 epoch of the session
-- ARGV 1 the holder's token, 2 its serial, 3 how many field names and values of the coordinator follow, then these, then
--      field, value, ... of the holder
-- RETURNS 2 written whole, 1 the holder's fields written, or all of it before, -1 a newer token exists, -2 Redis lost our token again
local known = tonumber(redis.call('GET', KEYS[2]) or '0')
if known ~= tonumber(ARGV[1]) then
  return known > tonumber(ARGV[1]) and -1 or -2
end
if redis.call('GET', KEYS[3]) ~= 'lost' then
  return 1
end
local serial = redis.call('HGET', KEYS[1], 'serial')
local wishes = 3 + tonumber(ARGV[3])
redis.call('HSET', KEYS[1], unpack(ARGV, wishes + 1))
redis.call('DEL', KEYS[3])
if serial and tonumber(serial) >= tonumber(ARGV[2]) then
  return 1
end
redis.call('HSET', KEYS[1], unpack(ARGV, 4, wishes))
return 2
