package explain

import (
	"bytes"
	"crypto/sha256"
	"strings"

	"github.com/rollcall-server/rollcall"
)

// A choice is one way to take one step of making a signature. Its code is the
// finding that it is; "": the right way.
type choice struct {
	code   string
	value  int64
	detail string
	text   string // of a value, or of the separator
	order  []int  // of the order
	sum    func(text []byte) []byte
}

// The dimensions of the search: the four values, what joins them, their order and
// the hash. Each has the right way first.
const (
	dimAgent = iota
	dimTime
	dimNonce
	dimText
	dimJoin
	dimOrder
	dimSum
	dims
)

// searchSignature makes the signature again with one wrong way, then with two and
// three at a time, until it is the one that was sent.
func (x *exam) searchSignature(digest []byte) {
	x.fund()
	s := &resigner{x: x, want: digest}
	if x.budget > 0 {
		s.made = x.choices(len(digest))
	}
	most := 3
	if x.know.Brief {
		most = 2
	}
	for faults := 0; faults <= most && x.budget > 0; faults++ {
		if s.try(0, faults) {
			s.report()
			return
		}
		if faults == 1 && !x.know.Brief && s.cased() {
			return
		}
	}
	if !x.hasCipherText || x.agentID == "" || x.timestamp == "" || x.nonce == "" {
		x.found(stepSignature, Unknown, "not all that it signs is there")
		return
	}
	if x.profile() != rollcall.SignaturePlain && !x.hasKey() {
		x.found(stepSignature, Unknown, "it is no plain signature that is known; whether it is an hmac one cannot be known without the API key (--credentials, --api-key-file)")
		return
	}
	x.fault("signature-unknown", 0, "")
}

type resigner struct {
	x    *exam
	want []byte
	made [dims][]choice
	at   [dims]int
	buf  []byte
}

// try sets the dimensions from dim on, with so many of them wrong, and reports
// whether the signature came out.
func (s *resigner) try(dim, faults int) bool {
	if s.x.budget <= 0 {
		return false
	}
	if dim == dims {
		return faults == 0 && s.matches()
	}
	s.at[dim] = 0
	if dims-dim > faults && s.try(dim+1, faults) {
		return true
	}
	if faults == 0 {
		return false
	}
	for i := 1; i < len(s.made[dim]); i++ {
		s.at[dim] = i
		if s.try(dim+1, faults-1) {
			return true
		}
	}
	s.at[dim] = 0
	return false
}

func (s *resigner) pick(dim int) *choice { return &s.made[dim][s.at[dim]] }

// matches makes the signature as the dimensions are set.
func (s *resigner) matches() bool {
	s.buf = s.buf[:0]
	for i, part := range s.pick(dimOrder).order {
		if i > 0 {
			s.buf = append(s.buf, s.pick(dimJoin).text...)
		}
		s.buf = append(s.buf, s.pick(part).text...)
	}
	return s.x.spend(len(s.buf)) && bytes.Equal(s.pick(dimSum).sum(s.buf), s.want)
}

// report names each wrong way; that without separators over the body has a name of
// its own.
func (s *resigner) report() {
	if s.pick(dimJoin).code == "signature-no-separators" && s.pick(dimText).code == "signature-over-body" {
		s.x.fault("signature-old-documentation", 0, "")
		s.at[dimJoin], s.at[dimText] = 0, 0
	}
	for dim := range dims {
		if c := s.pick(dim); c.code != "" {
			s.x.fault(c.code, c.value, c.detail)
		}
	}
}

// cased looks for an agent's id that was lower-cased on its way, by trying which of
// its letters were capitals.
func (s *resigner) cased() bool {
	id := s.x.agentID
	var letters []int
	for i := range len(id) {
		if 'a' <= id[i] && id[i] <= 'z' {
			letters = append(letters, i)
		}
	}
	if len(letters) == 0 || len(letters) > 16 || strings.ToLower(id) != id || len(s.x.cipherText) > 4096 {
		return false
	}
	text := []byte(id + "|" + s.x.timestamp + "|" + s.x.nonce + "|" + s.x.cipherText)
	for mask := 1; mask < 1<<len(letters); mask++ {
		for bit, at := range letters {
			text[at] = id[at]
			if mask>>bit&1 == 1 {
				text[at] = id[at] - ('a' - 'A')
			}
		}
		if sum := sha256.Sum256(text); bytes.Equal(sum[:], s.want) {
			s.x.fault("header-case-changed", 1, "it was "+string(text[:len(id)]))
			if s.x.profile() == rollcall.SignatureHMAC {
				s.x.fault("signature-plain-on-hmac", 0, "")
			}
			return true
		}
	}
	return false
}
