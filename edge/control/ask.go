package control

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
	"syscall"

	"hedgerow/internal/localapi"
)

// answerBytes bounds the document that answers a question.
const answerBytes = 64 << 10

// ask posts a question as JSON and decodes the answer. Its errors are those of
// package localapi. It waits for as long as ctx lasts: how long an answer may
// take is the edge's matter.
func (s Socket) ask(ctx context.Context, path string, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", string(s))
		},
	}
	// The host is never looked up: the dialler above ignores it.
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://local"+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask %s: %w", s, err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := transport.RoundTrip(request)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: nothing listens on %s", localapi.ErrNotRunning, s)
	case err != nil:
		return fmt.Errorf("ask %s: %w", s, err)
	}
	defer response.Body.Close()
	decode := json.NewDecoder(io.LimitReader(response.Body, answerBytes)).Decode
	if response.StatusCode != http.StatusOK {
		var why Failure
		if decode(&why) != nil || why.Error == "" {
			why.Error = response.Status
		}
		return &localapi.ServerError{Code: response.StatusCode, Message: why.Error}
	}
	if err := decode(answer); err != nil {
		return fmt.Errorf("decode the answer of %s: %w", s, err)
	}
	return nil
}
