# frozen_string_literal: true

# A client of Rollcall's v2 API, to be copied: Ruby 3.0 or later, no gems. A
# demonstration is below.
#
#   ruby rollcall.rb CREDENTIALS-FILE

require 'digest'
require 'json'
require 'net/http'
require 'openssl'
require 'securerandom'

# Calls for one agent. Threads may share it: they use one access token.
class Rollcall
  # An answer with another code than 0. Match on code, never on the message; by its
  # log_uuid the operator of the service finds the request and why it was refused.
  class Error < StandardError
    attr_reader :code, :log_uuid

    def initialize(code, message, log_uuid)
      super(message)
      @code = code
      @log_uuid = log_uuid
    end
  end

  # What check_sessions has found: the active sessions, oldest first. Where partial is
  # true some may be missing for the moment, so that none does not mean nobody plays.
  Sessions = Struct.new(:active, :partial)

  def initialize(base_url:, agent_id:, api_key:, secret:)
    # 1. The API key is 64 hex digits that stand for 32 bytes. Never use the 64
    #    characters as the key, nor the first 32 of them.
    raise ArgumentError, 'the API key is not 64 lower-case hex digits' unless api_key.match?(/\A[0-9a-f]{64}\z/)

    @key = [api_key].pack('H*')
    @base_url = base_url.chomp('/')
    @agent_id = agent_id
    @secret = secret
    @mutex = Mutex.new
    @good_until = 0
  end

  # The member's Sessions.
  def check_sessions(username) = Sessions.new(*call('/v2/members/sessions/check', username: username))

  # The usernames of the agent's members with an active session; up to 30 s old.
  def online = call('/v2/members/online').first.fetch('userList')

  def create_member(username) = call('/v2/members', username: username)

  # Launches a game; send the member to gameLaunchUrl, and keep it to yourself.
  def open_game(**launch) = call('/v2/opengame', **launch).first

  # Ends all the member's sessions; no error where it has none.
  def kick(username) = call('/v2/members/sessions/logout', username: username)

  # Keys do not belong into logs.
  def inspect = "#<Rollcall #{@agent_id}>"

  private

  def call(path, **request)
    token, fresh = access_token
    begin
      return exchange(path, request, token)
    rescue Error => e
      raise if fresh || e.code != 83
    end
    # The token from before may have been revoked: once more with another one.
    token, = access_token(refused: token)
    exchange(path, request, token)
  end

  def access_token(refused: nil)
    @mutex.synchronize do # one thread fetches, the others wait for it
      asked = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      return [@token, false] if @token && @token != refused && asked < @good_until

      data, = exchange('/v2/auth', { agentId: @agent_id, secret: @secret })
      @good_until = asked + data.fetch('expiresIn') - 60
      @token = data.fetch('accessToken')
      [@token, true]
    end
  end

  # Returns the answer's data, nil where it has none, and whether it is partial.
  def exchange(path, request, token = nil)
    answer = post(path, request, token)
    if %w[429 503].include?(answer.code) # too many calls, or no room: come again, once, when it says
      after = answer['Retry-After'].to_s
      sleep(after.match?(/\A[0-9]+\z/) ? [after.to_i, 60].min : 1)
      answer = post(path, request, token)
    end
    envelope = envelope_of(answer) or raise IOError, "POST #{path}: HTTP #{answer.code}, and no answer of Rollcall"
    raise Error.new(*envelope.values_at('code', 'message', 'logUUID')) unless envelope['code'].zero?

    [envelope['data'], answer['X-Sessions-Partial'] == 'true']
  end

  def envelope_of(answer)
    envelope = JSON.parse(answer.body.force_encoding(Encoding::UTF_8))
    envelope if envelope.is_a?(Hash) && envelope['code'].is_a?(Integer)
  rescue JSON::ParserError
    nil
  end

  # Seals and signs anew each time: a nonce is good once. Net::HTTP follows no redirect.
  def post(path, request, token)
    cipher_text = seal(JSON.generate(request))
    # 4. Milliseconds, 13 digits. Time.now.to_i has seconds.
    timestamp = Process.clock_gettime(Process::CLOCK_REALTIME, :millisecond).to_s
    nonce = SecureRandom.hex(16)
    headers = {
      'Content-Type' => 'application/json',
      'x-agentid' => @agent_id,
      'x-timestamp' => timestamp,
      'x-nonce' => nonce,
      'x-signature' => Digest::SHA256.hexdigest([@agent_id, timestamp, nonce, cipher_text].join('|'))
    }
    headers['Authorization'] = "Bearer #{token}" if token
    uri = URI(@base_url + path)
    Net::HTTP.start(uri.host, uri.port, use_ssl: uri.scheme == 'https', open_timeout: 5, read_timeout: 10) do |http|
      http.post(uri.path, JSON.generate(cipherText: cipher_text), headers)
    end
  end

  def seal(plaintext)
    cipher = OpenSSL::Cipher.new('aes-256-gcm').encrypt
    cipher.key = @key
    iv = cipher.random_iv # 12 bytes
    sealed = cipher.update(plaintext) + cipher.final
    # 2. The tag goes in front of the sealed bytes, though it is known behind them.
    # 3. Three base64 texts, one behind the other; not one over all the bytes. 'm0'
    #    is base64 without line ends.
    [iv, cipher.auth_tag, sealed].map { |part| [part].pack('m0') }.join
  end
end

# The demonstration, against a sandbox (make run). In your project, cut here.

def show(what)
  result = yield
  puts "#{what}: #{result.is_a?(String) ? result : 'done'}"
rescue Rollcall::Error => e
  puts "#{what}: code #{e.code}, #{e.message} (logUUID #{e.log_uuid ? 'given' : 'missing'})"
end

def told(sessions)
  lines = sessions.active.map do |session|
    device, address, currency = session['sessionInfo'].values_at('deviceType', 'ipaddress', 'currency')
    "#{session['gamecode']}, #{session['mode']}, #{device == 1 ? 'on a PC' : 'on mobile'}, from #{address}, in #{currency}"
  end
  "#{lines.empty? ? 'no session' : lines.join('; ')}#{', but some may be missing' if sessions.partial}"
end

# What the page of the sandbox's game does when the member's browser loads it.
def open_in_browser(launch_url)
  uri = URI(launch_url)
  token = URI.decode_www_form(uri.query).to_h.fetch('token')
  uri.path += '/start'
  "HTTP #{Net::HTTP.post(uri, JSON.generate(token: token, page: 'example'), 'Content-Type' => 'application/json').code}"
end

credentials = JSON.parse(File.read(ARGV.fetch(0), encoding: 'UTF-8'))
agent = credentials.fetch('agents').first
options = { base_url: credentials['baseUrl'], agent_id: agent['agentId'], api_key: agent['apiKey'], secret: agent['secret'] }
rollcall = Rollcall.new(**options)
name = "new#{SecureRandom.hex(8)}"

show('check player001') { told(rollcall.check_sessions('player001')) }
show('check nobody') { told(rollcall.check_sessions('nobody')) }
show('check "not a name"') { told(rollcall.check_sessions('not a name')) }
show('create a new member') { rollcall.create_member(name) }
show('create it again') { rollcall.create_member(name) }
# deviceType is 0 for a PC and 1 for mobile here; a session has 1 and 2.
launch = rollcall.open_game(username: name, gameCode: 'VP_230001_1', launchType: 2, deviceType: 1, ipaddress: '203.0.113.7', lang: 'en')
sent = launch['gameLaunchUrl'].include?('token=') ? 'a URL with a launch token' : 'no URL'
puts "launch VP_230001_1 for it: #{launch['mode']}, #{sent}"
show('check it') { told(rollcall.check_sessions(name)) }
show("open the URL, as the member's browser does") { open_in_browser(launch['gameLaunchUrl']) }
show('check it') { told(rollcall.check_sessions(name)) }
show('online') { "player001 is #{rollcall.online.include?('player001') ? 'playing' : 'away'}" }
show('kick it') { rollcall.kick(name) }
show('check it') { told(rollcall.check_sessions(name)) }
show('check with another API key') { told(Rollcall.new(**options, api_key: '00' * 32).check_sessions('player001')) }
show('check with another Secret key') { told(Rollcall.new(**options, secret: 'another').check_sessions('player001')) }
