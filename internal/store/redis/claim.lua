-- Claims a nonce.
--
-- KEYS  1 the nonce, 2 the window of its part (see nonces.go)
-- ARGV  1 what to leave at the nonce
--       2 for how long, in ms
--       3 the window as it is known
--       4 where the server did not know this script: anything. Then it may be
--         another than that of the window, and has lost its last moments.
--
-- Returns what was left there before, or '' where nothing was; or nil where the
-- window is another.
local window = redis.call('GET', KEYS[2])
if window and ARGV[4] ~= '' then
  local server = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
  if string.match(window, '%w+$') ~= server then
    redis.call('DEL', KEYS[2])
    window = false
  end
end
if window ~= ARGV[3] then return false end
return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'GET', 'PX', ARGV[2]) or ''
