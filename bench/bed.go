package main

import (
	"fmt"
	"os"
	"testing"
)

// A bed is what the engines' package for tests asks for, for a program that is no
// test.
type bed struct {
	testing.TB

	after []func()
}

// A failureError is what would have failed a test.
type failureError string

func (e failureError) Error() string { return string(e) }

// in runs do with a bed, and then what is to be cleaned up.
func in(do func(*bed) error) (err error) {
	b := &bed{}
	defer func() {
		for i := range b.after {
			b.after[len(b.after)-1-i]()
		}
		if p := recover(); p != nil {
			failure, ok := p.(failureError)
			if !ok {
				panic(p)
			}
			err = failure
		}
	}()
	return do(b)
}

// Helper, Failed, Cleanup, Logf, Errorf, Fatalf and Skipf are those of a test; the
// last three end what runs.

func (*bed) Helper()                             {}
func (*bed) Failed() bool                        { return false }
func (b *bed) Cleanup(f func())                  { b.after = append(b.after, f) }
func (*bed) Logf(format string, args ...any)     { fmt.Fprintf(os.Stderr, format+"\n", args...) }
func (*bed) Errorf(format string, args ...any)   { panic(failureError(fmt.Sprintf(format, args...))) }
func (b *bed) Fatalf(format string, args ...any) { b.Errorf(format, args...) }
func (b *bed) Skipf(format string, args ...any)  { b.Errorf(format, args...) }
