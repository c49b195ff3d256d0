-- Run several commands as one.
-- KEYS their keys, all in one slot
-- ARGV for each command: of how many words it is, then these, its key among them
local at = 1
while at <= #ARGV do
  local last = at + tonumber(ARGV[at])
  redis.call(unpack(ARGV, at + 1, last))
  at = last + 1
end
