package roll

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// A Home says where the sessions and launches of a member lie in a store that is
// spread over several machines. It is part of their IDs and keys, so that
// whoever names a session or a launch names its home, and no store has to look
// for it. Several members may share a home. What is of no member has a random
// one.
//
// A session's ID is a version 7 UUID: 48 bits of Unix milliseconds, 12 of their
// fraction, 30 random ones and the 32 of the home.
type Home uint32

// HomeOf returns the home of an agent's member.
func HomeOf(agentID, username string) Home {
	if username == "" {
		var b [4]byte
		rand.Read(b[:])
		return Home(binary.BigEndian.Uint32(b[:]))
	}
	var room [128]byte // for the MemberKey
	sum := sha256.Sum256(append(append(append(room[:0], agentID...), '/'), username...))
	return Home(binary.BigEndian.Uint32(sum[:]))
}

// NewSessionID returns an ID for a session of a home that begins at a moment.
func NewSessionID(at time.Time, home Home) string {
	var id uuid.UUID
	rand.Read(id[8:12])
	binary.BigEndian.PutUint64(id[:], uint64(at.UnixMilli())<<16)
	fraction := uint16(at.Nanosecond() % int(time.Millisecond) * 4096 / int(time.Millisecond))
	binary.BigEndian.PutUint16(id[6:], 0x7000|fraction)
	id[8] = id[8]&0x3f | 0x80
	binary.BigEndian.PutUint32(id[12:], uint32(home))
	return id.String()
}

// idTime returns now, or a little later where that was returned before, so that a
// process's IDs sort as they were made.
func (s *Service) idTime(now time.Time) time.Time {
	for {
		last := s.lastID.Load()
		at := max(now.UnixMicro(), last+1)
		if s.lastID.CompareAndSwap(last, at) {
			return now.Add(time.Duration(at-now.UnixMicro()) * time.Microsecond)
		}
	}
}

// HomeOfSession returns the home that a session's ID names; false: it is none.
func HomeOfSession(id string) (Home, bool) {
	u, err := uuid.Parse(id)
	if err != nil || u.Version() != 7 || u.String() != id {
		return 0, false
	}
	return Home(binary.BigEndian.Uint32(u[12:])), true
}

// newLaunchToken returns a secret token of a launch whose session has the home.
func newLaunchToken(home Home) string { return fmt.Sprintf("%s%08X", rand.Text(), home) }

const homeDigits = 8

// LaunchKey is how the stores know a launch token: who reads them cannot use it.
func LaunchKey(token string) string {
	sum := sha256.Sum256([]byte(token))
	key := base64.RawURLEncoding.EncodeToString(sum[:])
	if len(token) < homeDigits {
		return key
	}
	return key + "." + token[len(token)-homeDigits:]
}

// HomeOfLaunch returns the home that a launch's key names; false: it is none.
func HomeOfLaunch(key string) (Home, bool) {
	_, digits, ok := strings.Cut(key, ".")
	if !ok || len(digits) != homeDigits {
		return 0, false
	}
	home, err := strconv.ParseUint(digits, 16, 32)
	return Home(home), err == nil
}
