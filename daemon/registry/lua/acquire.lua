-- Take the lease of a session if nobody holds it, or if its holder is a provably dead process of ours.
-- A session that this epoch of Redis has not seen may have been lost in part: its token goes on well above what the
-- archives say, once every older lease must have run out, and what the record says of copies is forgotten.
-- KEYS 1 lease, 2 token, 3 epoch of the session, 4 record
-- ARGV 1 holder, 2 TTL in ms, 3 floor: the highest token in the archives ('' not asked), 4 prefix of holders that are
--      known to be dead ('' none), 5 epoch, 6 its servers, 7 its age in ms, 8 how far to jump above what may be lost,
--      9 '1' if something may have been lost when the epoch began: even what nobody has seen may be held then
-- RETURNS {1, token} taken, {0, present holder} held, {-1} another server, {-2} floor needed, {-3, ms} not before
if not string.find(ARGV[6], string.match(redis.call('INFO', 'server'), 'run_id:(%x+)'), 1, true) then
  return {-1}
end
local held = redis.call('GET', KEYS[1])
if held and (ARGV[4] == '' or string.sub(held, 1, #ARGV[4]) ~= ARGV[4]) then
  return {0, held}
end
local known = tonumber(redis.call('GET', KEYS[2]) or '0')
if redis.call('GET', KEYS[3]) ~= ARGV[5] then
  if ARGV[3] == '' then
    return {-2}
  end
  local highest = math.max(known, tonumber(ARGV[3]))
  if highest > 0 or ARGV[9] == '1' then
    if tonumber(ARGV[7]) < tonumber(ARGV[2]) then
      return {-3, tonumber(ARGV[2]) - tonumber(ARGV[7])}
    end
    redis.call('SET', KEYS[2], string.format('%.0f', highest + tonumber(ARGV[8])))
    if redis.call('EXISTS', KEYS[4]) == 1 then
      redis.call('HSET', KEYS[4], 'hot_copy', '', 'archive', '', 'archive_begun', '')
    end
  end
  redis.call('SET', KEYS[3], ARGV[5])
end
local token = redis.call('INCR', KEYS[2])
redis.call('SET', KEYS[1], ARGV[1] .. '|' .. token, 'PX', ARGV[2])
return {1, token}
