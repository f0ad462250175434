package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"
)

// A handOver writes new keys to a file for whom they are for, so that they are on
// no screen.
type handOver struct {
	file, baseURL string
	written       bool
}

func (h *handOver) flags(f *pflag.FlagSet) {
	f.StringVar(&h.file, "hand-over", "", "credentials `file` to write the keys to (mode 0600), in place of showing them")
	f.StringVar(&h.baseURL, "base-url", "", "`URL` of the service as the one who gets --hand-over reaches it")
}

// check looks before anything is made: keys that could not be written would be lost.
func (h *handOver) check() error {
	switch {
	case h.file == "" && h.baseURL != "":
		return errors.New("--base-url is for the file of --hand-over")
	case h.file == "":
		return nil
	case h.baseURL == "":
		return errors.New("--hand-over needs --base-url: where the one who gets the file reaches the service")
	}
	if _, err := os.Lstat(h.file); err == nil {
		return fmt.Errorf("--hand-over: %s is there already", h.file)
	}
	probe, err := os.CreateTemp(filepath.Dir(h.file), "."+filepath.Base(h.file)+"-*")
	if err != nil {
		return fmt.Errorf("--hand-over: %w", err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// write does nothing without --hand-over. After an error the keys are to be shown,
// since nobody can get them again.
func (h *handOver) write(c Credentials) error {
	if h.file == "" {
		return nil
	}
	err := writeCredentials(h.file, c)
	h.written = err == nil
	return err
}
