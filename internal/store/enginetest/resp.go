package enginetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// ask sends one command to a Redis and returns its reply as text: an array's
// elements on a line each, nothing for null.
func ask(addr string, args ...string) (string, error) {
	replies, err := askAll(addr, args)
	if err != nil {
		return "", fmt.Errorf("%s: %s: %w", addr, strings.Join(args, " "), err)
	}
	return replies[0], nil
}

// askAll sends commands at once and returns their replies, or the first error.
func askAll(addr string, commands ...[]string) ([]string, error) {
	replies := make([]string, len(commands))
	err := talk(addr, commands, func(in *bufio.Reader) (err error) {
		for i := range replies {
			if replies[i], err = readReply(in); err != nil {
				return err
			}
		}
		return nil
	})
	return replies, err
}

// askList sends one command whose reply is an array, and returns its elements,
// which may be of any bytes.
func askList(addr string, args ...string) (elements []string, err error) {
	err = talk(addr, [][]string{args}, func(in *bufio.Reader) error {
		var size int
		if _, err := fmt.Fscanf(in, "*%d\r\n", &size); err != nil {
			return err
		}
		elements = make([]string, size)
		for i := range elements {
			var err error
			if elements[i], err = readReply(in); err != nil {
				return err
			}
		}
		return nil
	})
	return elements, err
}

// talk sends commands at once and has their replies read. The driver is what tests
// of a backend test, so its help is not asked here.
func talk(addr string, commands [][]string, read func(*bufio.Reader) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()

	var text strings.Builder
	for _, args := range commands {
		fmt.Fprintf(&text, "*%d\r\n", len(args))
		for _, arg := range args {
			fmt.Fprintf(&text, "$%d\r\n%s\r\n", len(arg), arg)
		}
	}
	if _, err := io.WriteString(conn, text.String()); err != nil {
		return err
	}
	return read(bufio.NewReader(conn))
}

// readReply reads one reply of the protocol's second version, RESP2.
func readReply(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	kind, rest := line[0], strings.TrimRight(line[1:], "\r\n")
	switch kind {
	case '-':
		return "", errors.New(rest)
	case '$', '*':
		size, err := strconv.Atoi(rest)
		switch {
		case err != nil || size < 0:
			return "", err
		case kind == '$':
			text := make([]byte, size+len("\r\n"))
			_, err = io.ReadFull(in, text)
			return string(text[:size]), err
		}
		return readArray(in, size)
	default:
		return rest, nil
	}
}

func readArray(in *bufio.Reader, size int) (string, error) {
	elements := make([]string, size)
	for i := range elements {
		var err error
		if elements[i], err = readReply(in); err != nil {
			return "", err
		}
	}
	return strings.Join(elements, "\n"), nil
}
