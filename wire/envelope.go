package wire

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/rollcall-server/rollcall"
)

// A Request is the body of every v2 request (spec 1.2).
type Request struct {
	CipherText string `json:"cipherText"`
}

// Decode reads a body strictly; other members than cipherText are ignored. The
// error is rollcall.ErrParameters.
func (r *Request) Decode(body []byte) error {
	text, err := CipherText(body)
	r.CipherText = string(text)
	return err
}

// CipherText returns that of a body, as Decode reads it, where there is no need for
// a text of its own: it may be a part of body.
func CipherText(body []byte) ([]byte, error) {
	if text, ok := onlyMember(body, "cipherText"); ok {
		return text, nil
	}
	var text []byte
	if err := decodeObject(body, field{name: "cipherText", to: &text}); err != nil {
		return nil, err
	}
	return text, nil
}

// Data is an answer's data, which can write itself as JSON.
type Data interface {
	AppendJSON(dst []byte) []byte
}

// AppendReply appends an answer's envelope to dst (spec 1.4). data is written
// only with code 0, and may be nil; logUUID needs no escaping in JSON.
func AppendReply(dst []byte, code Code, data Data, logUUID string) []byte {
	dst = AppendCode(dst, code)
	if code == CodeOK && data != nil {
		dst = AppendData(dst, data)
	}
	return AppendLogUUID(dst, logUUID)
}

// AppendCode begins an envelope, for who knows its parts one after the other: then
// comes AppendData, if there is data, and AppendLogUUID.
func AppendCode(dst []byte, code Code) []byte {
	dst = append(dst, `{"code":`...)
	dst = strconv.AppendInt(dst, int64(code), 10)
	dst = append(dst, `,"message":"`...)
	dst = append(dst, code.Message()...)
	return append(dst, '"')
}

// AppendData appends the data of an envelope that AppendCode has begun.
func AppendData[D Data](dst []byte, data D) []byte {
	return data.AppendJSON(append(dst, `,"data":`...))
}

// AppendLogUUID ends an envelope.
func AppendLogUUID(dst []byte, logUUID string) []byte {
	dst = append(dst, `,"logUUID":"`...)
	dst = append(dst, logUUID...)
	return append(dst, `"}`...)
}

// A Reply is an answer as a client reads it.
type Reply struct {
	Code    Code            `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data"`
	LogUUID string          `json:"logUUID"`
}

// ParseReply reads an answer. It is lenient where AppendReply is exact, since
// other implementations word their messages differently and add members; a
// text that is no object with a code is an error.
func ParseReply(body []byte) (Reply, error) {
	var r struct {
		Reply

		Code *Code `json:"code"`
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return Reply{}, fmt.Errorf("answer is no envelope: %w", err)
	}
	if r.Code == nil {
		return Reply{}, fmt.Errorf("answer is no envelope: %w: no code", rollcall.ErrInvalid)
	}
	r.Reply.Code = *r.Code
	return r.Reply, nil
}

// Err returns nil for code 0 and otherwise an *Error.
func (r *Reply) Err() error {
	if r.Code == CodeOK {
		return nil
	}
	return &Error{Code: r.Code, Message: r.Message, LogUUID: r.LogUUID}
}

// An Error is an answer whose code is not 0. errors.Is finds the code's
// sentinel in it.
type Error struct {
	Code    Code
	Message string
	// LogUUID is what the service's operator needs to find the request.
	LogUUID string
	// Status is the HTTP status that the answer came with; 0: nobody has said.
	Status int
	// RetryAfter is when the service wants to be asked again, after HTTP 429 and
	// 503; 0: it did not say.
	RetryAfter time.Duration
}

// Error says code, message and logUUID.
func (e *Error) Error() string {
	return fmt.Sprintf("code %d: %s (logUUID %s)", e.Code, e.Message, e.LogUUID)
}

// Unwrap returns the sentinel of the code.
func (e *Error) Unwrap() error { return e.Code.Err() }
