package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/rollcall-server/rollcall/wire"
)

// Options say where the API is and who calls.
type Options struct {
	// URL is where /admin/v1 begins, such as http://127.0.0.1:7402.
	URL string
	// Token is an admin token.
	Token string
	// HTTPClient does the calls; nil: one with a timeout of 30 s.
	HTTPClient *http.Client
}

// A Client calls the API. It is safe for concurrent use.
type Client struct {
	url   string
	token string
	http  *http.Client
}

// New makes a Client.
func New(o Options) *Client {
	if o.HTTPClient == nil {
		o.HTTPClient = &http.Client{Timeout: 30 * time.Second}
	}
	return &Client{url: strings.TrimRight(o.URL, "/"), token: o.Token, http: o.HTTPClient}
}

// Path joins segments, each escaped, behind the API's prefix.
func Path(segments ...string) string {
	var path strings.Builder
	path.WriteString(Prefix)
	for _, s := range segments {
		path.WriteString("/" + url.PathEscape(s))
	}
	return path.String()
}

// Do makes one call. in, if not nil, is sent as JSON; the answer is read into
// out, if that is not nil. An answer that is no success is a *wire.FaultError.
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	req, err := c.request(ctx, method, path, in)
	if err != nil {
		return err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode >= http.StatusBadRequest {
		return wire.FaultIn(res.StatusCode, text)
	}
	if out == nil || len(text) == 0 {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s %s: the answer is not understood: %w", method, path, err)
	}
	return nil
}

func (c *Client) request(ctx context.Context, method, path string, in any) (*http.Request, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// pageSize is what List asks for at once: the most that the server gives.
const pageSize = 1000

// List reads a list page by page, and calls each with every item until it
// returns false. cursor names the query that carries a page's Next: "after", or
// "before" for the audit.
func List[T any](ctx context.Context, c *Client, path string, query url.Values, cursor string, each func(T) bool) error {
	q := url.Values{}
	maps.Copy(q, query)
	q.Set("limit", strconv.Itoa(pageSize))
	for {
		var page Page[T]
		if err := c.Do(ctx, http.MethodGet, path+"?"+q.Encode(), nil, &page); err != nil {
			return err
		}
		for _, item := range page.Items {
			if !each(item) {
				return nil
			}
		}
		if page.Next == "" {
			return nil
		}
		q.Set(cursor, page.Next)
	}
}
