package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

const (
	maxBody = 64 << 10
	maxSkew = 5 * time.Minute
)

type agent struct{ apiKey []byte }

type session struct {
	Mode        string      `json:"mode"`
	GameCode    string      `json:"gamecode"`
	SessionInfo sessionInfo `json:"sessionInfo"`
}

type sessionInfo struct {
	DeviceType    int    `json:"deviceType"`
	IPAddress     string `json:"ipaddress"`
	Lang          string `json:"lang"`
	GameCode      string `json:"gameCode"`
	Username      string `json:"username"`
	LaunchType    int    `json:"launchType"`
	Currency      string `json:"currency"`
	BrandCurrency string `json:"brandCurrency"`
	AgentType     int    `json:"agentType"`
}

type envelope struct {
	Code    int       `json:"code"`
	Message string    `json:"message"`
	Data    []session `json:"data,omitzero"`
	LogUUID string    `json:"logUUID"`
}

// A refusalError is an answer that is no success.
type refusalError struct {
	code    int
	message string
}

func (e refusalError) Error() string { return e.message }

var (
	errParameters     = refusalError{11, "Parameters error"}
	errUser           = refusalError{8, "The User is not exist."}
	errAuthentication = refusalError{83, "Authentication Failed"}
	errDecryption     = refusalError{84, "Decryption Failed"}
)

var (
	agentIDForm   = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)
	timestampForm = regexp.MustCompile(`^[0-9]{13}$`)
	nonceForm     = regexp.MustCompile(`^[A-Za-z0-9]{32}$`)
	signatureForm = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)
	usernameForm  = regexp.MustCompile(`^[A-Za-z0-9]{1,25}$`)
)

type server struct {
	tokenKey []byte
	agents   map[string]agent

	mu      sync.RWMutex
	members map[string][]session

	nonceMu sync.Mutex
	nonces  map[string]time.Time // until when
	swept   time.Time
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	e := envelope{Message: "No error.", LogUUID: uuid.NewString()}
	status := http.StatusOK
	data, err := s.check(r)
	var refused refusalError
	switch {
	case errors.As(err, &refused):
		e.Code, e.Message = refused.code, refused.message
	case err != nil:
		slog.ErrorContext(r.Context(), "check", slog.Any("error", err))
		status, e.Code, e.Message = http.StatusInternalServerError, 7, "Internal server error"
	default:
		e.Data = data
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Log-UUID", e.LogUUID)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(e)
}

// check makes the checks of the protocol, and returns the member's sessions.
func (s *server) check(r *http.Request) ([]session, error) {
	var body struct {
		CipherText string `json:"cipherText"`
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(&body); err != nil {
		return nil, errParameters
	}
	plaintext, err := s.prove(r.Header, body.CipherText)
	if err != nil {
		return nil, err
	}
	var request struct {
		Username string `json:"username"`
	}
	if err := json.Unmarshal(plaintext, &request); err != nil || !usernameForm.MatchString(request.Username) {
		return nil, errParameters
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	sessions, ok := s.members[request.Username]
	if !ok {
		return nil, errUser
	}
	return sessions, nil
}

// prove says that the caller is the agent, and returns what it has sealed.
func (s *server) prove(h http.Header, cipherText string) ([]byte, error) {
	agentID, timestamp, nonce, signature := h.Get("x-agentid"), h.Get("x-timestamp"), h.Get("x-nonce"), h.Get("x-signature")
	if !agentIDForm.MatchString(agentID) || !timestampForm.MatchString(timestamp) || !nonceForm.MatchString(nonce) || !signatureForm.MatchString(signature) {
		return nil, errAuthentication
	}
	agent, ok := s.agents[agentID]
	millis, err := strconv.ParseInt(timestamp, 10, 64)
	if !ok || err != nil || time.Since(time.UnixMilli(millis)).Abs() > maxSkew {
		return nil, errAuthentication
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{agentID, timestamp, nonce, cipherText}, "|")))
	if subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), []byte(strings.ToLower(signature))) != 1 {
		return nil, errAuthentication
	}
	if err := s.checkToken(h.Get("Authorization"), agentID); err != nil {
		return nil, err
	}
	plaintext, err := open(agent.apiKey, cipherText)
	if err != nil {
		return nil, errDecryption
	}
	if !s.spend(agentID+"|"+nonce, time.Now()) {
		return nil, errAuthentication
	}
	return plaintext, nil
}

func (s *server) checkToken(authorization, agentID string) error {
	scheme, token, ok := strings.Cut(authorization, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return errAuthentication
	}
	claims := jwt.MapClaims{}
	_, err := jwt.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return s.tokenKey, nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithLeeway(time.Minute), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	if err != nil || claims["agentId"] != agentID {
		return errAuthentication
	}
	return nil
}

func open(key []byte, cipherText string) ([]byte, error) {
	if len(cipherText) < 40 {
		return nil, errDecryption
	}
	iv, err1 := base64.StdEncoding.DecodeString(cipherText[:16])
	tag, err2 := base64.StdEncoding.DecodeString(cipherText[16:40])
	sealed, err3 := base64.StdEncoding.DecodeString(cipherText[40:])
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return gcm.Open(nil, iv, append(sealed, tag...), nil)
}

// spend claims a nonce. Old ones are forgotten each minute.
func (s *server) spend(nonce string, now time.Time) bool {
	s.nonceMu.Lock()
	defer s.nonceMu.Unlock()
	if now.Sub(s.swept) > time.Minute {
		for name, until := range s.nonces {
			if until.Before(now) {
				delete(s.nonces, name)
			}
		}
		s.swept = now
	}
	if _, used := s.nonces[nonce]; used {
		return false
	}
	s.nonces[nonce] = now.Add(2 * maxSkew)
	return true
}
