-- Takes tokens from one bucket. It does what bucket.take of internal/live does,
-- number by number: the reasons are there.
--
-- KEYS[1]  the bucket, "LEVEL AT": what it holds, in millionths of a token, at
--          that time, in Unix µs. It is gone when it is full again.
--
-- ARGV[1]  how many tokens come in a second
-- ARGV[2]  how many it holds at the most
-- ARGV[3]  how many to take at the most
-- ARGV[4]  the time, in Unix µs; '': this server's. By a time that is given the
--          bucket stays for an hour longer, since the server's passes otherwise.
--
-- Returns how many it took, and in how many µs there is one, if it took none.

local unit = 1000000
local rate, most, n = tonumber(ARGV[1]), tonumber(ARGV[2]) * unit, tonumber(ARGV[3])
local now, stay = tonumber(ARGV[4]), 3600000
if not now then
  local time = redis.call('TIME')
  now, stay = time[1] * 1000000 + time[2], 0
end

local level = most
local bucket = redis.call('GET', KEYS[1])
if bucket then
  local had, at = string.match(bucket, '^(%d+) (%d+)$')
  level = math.min(tonumber(had), most)
  local passed = now - tonumber(at)
  if passed >= math.ceil((most - level) / rate) then
    level = most
  elseif passed > 0 then
    level = level + passed * rate
  end
end

local granted = math.min(n, math.floor(level / unit))
level = level - granted * unit
local wait = 0
if granted == 0 then
  wait = math.ceil((unit - level) / rate)
end
local full = math.ceil((most - level) / rate)
redis.call('SET', KEYS[1], string.format('%.0f %.0f', level, now), 'PX', math.ceil(full / 1000) + 1 + stay)
return {granted, wait}
