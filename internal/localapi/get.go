package localapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

const (
	// callTimeout bounds a call whose context has no earlier end, except AskFor.
	callTimeout = 10 * time.Second
	// documentBytes bounds an answer: 4096 peers need about 2 MiB.
	documentBytes = 16 << 20
	// sentenceBytes bounds the sentence of an answer that is an error.
	sentenceBytes = 4 << 10
)

// Get fetches the JSON document at urlPath ("/api/v1/status") from the server
// on the Unix socket and decodes it into v. It returns ErrNotRunning when
// nothing listens, an error that satisfies errors.Is(err, fs.ErrPermission)
// when the socket may not be opened, and *ServerError when the answer is an
// error.
func Get(ctx context.Context, socketPath, urlPath string, v any) error {
	body, err := call(ctx, socketPath, http.MethodGet, urlPath, nil, documentBytes)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("decode the answer of %s: %w", socketPath, err)
	}
	return nil
}

// Fetch fetches what is at urlPath as it is: most bytes at most. Its errors are those of Get.
func Fetch(ctx context.Context, socketPath, urlPath string, most int64) ([]byte, error) {
	return call(ctx, socketPath, http.MethodGet, urlPath, nil, most)
}

// Post asks the server on the Unix socket to do the action at urlPath. Its
// errors are those of Get.
func Post(ctx context.Context, socketPath, urlPath string) error {
	_, err := call(ctx, socketPath, http.MethodPost, urlPath, nil, documentBytes)
	return err
}

// Ask posts a question as JSON to urlPath and decodes the answer into v. Its errors
// are those of Get.
func Ask(ctx context.Context, socketPath, urlPath string, question, v any) error {
	return AskFor(ctx, callTimeout, socketPath, urlPath, question, v)
}

// AskFor is Ask for a question whose answer may take so long.
func AskFor(ctx context.Context, limit time.Duration, socketPath, urlPath string, question, v any) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	asked, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("encode the question to %s: %w", socketPath, err)
	}
	body, err := exchange(ctx, socketPath, http.MethodPost, urlPath, asked, documentBytes)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("decode the answer of %s: %w", socketPath, err)
	}
	return nil
}

// call is exchange within callTimeout.
func call(ctx context.Context, socketPath, method, urlPath string, document []byte, most int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return exchange(ctx, socketPath, method, urlPath, document, most)
}

// exchange makes one request on a connection of its own, with a JSON document unless
// that is empty. The answer has most bytes at most.
func exchange(ctx context.Context, socketPath, method, urlPath string, document []byte, most int64) ([]byte, error) {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socketPath)
		},
	}
	// The host is never looked up: the dialler above ignores it.
	req, err := http.NewRequestWithContext(ctx, method, "http://local"+urlPath, bytes.NewReader(document))
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", socketPath, err)
	}
	if len(document) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, unreachable(socketPath, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return nil, serverError(resp)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", socketPath, err)
	}
	if int64(len(body)) > most {
		return nil, fmt.Errorf("the answer of %s is longer than %d bytes", socketPath, most)
	}
	return body, nil
}

// unreachable names the failures that callers tell apart.
func unreachable(socketPath string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist) && isRemoved(socketPath):
		return fmt.Errorf("%w: %s", ErrRemoved, socketPath)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: nothing listens on %s", ErrNotRunning, socketPath)
	case errors.Is(err, fs.ErrPermission):
		return &fs.PathError{Op: "connect", Path: socketPath, Err: fs.ErrPermission}
	}
	return fmt.Errorf("ask %s: %w", socketPath, err)
}

// serverError makes an error of an answer outside 200 to 299: the sentence of
// its JSON document {"error": "..."}, or its plain text.
func serverError(resp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, sentenceBytes))
	var doc Failure
	if json.Unmarshal(text, &doc) != nil || doc.Error == "" {
		doc.Error = strings.TrimSpace(string(text))
	}
	if doc.Error == "" {
		doc.Error = resp.Status
	}
	return &ServerError{Code: resp.StatusCode, Message: doc.Error}
}
