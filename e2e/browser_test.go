package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// chromium returns Debian's, or skips the test; with ROLLCALL_TEST_REQUIRE set it
// has to be there.
func chromium(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("chromium")
	switch {
	case err == nil:
		return path
	case os.Getenv("ROLLCALL_TEST_REQUIRE") != "":
		t.Fatal("no chromium in PATH, and ROLLCALL_TEST_REQUIRE is set; on Debian: apt install chromium")
	}
	t.Skip("no chromium in PATH: the tests in a browser are skipped; on Debian: apt install chromium")
	return ""
}

// A browser has a profile of its own, which is empty at its beginning.
type browser struct{ ctx context.Context }

func newBrowser(t *testing.T) *browser {
	t.Helper()
	profile, err := os.MkdirTemp("", "rollcall-chromium-") //nolint:usetesting // t.TempDir would fail the test where a child that ends late still writes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(profile) })
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(chromium(t)), chromedp.UserDataDir(profile), chromedp.NoSandbox, chromedp.NoFirstRun,
		chromedp.Headless, chromedp.DisableGPU, chromedp.WindowSize(520, 860),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
	}
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, closeAll := chromedp.NewContext(ctx)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits for the process
		closeAll()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("chromium: %v", err)
	}
	return &browser{ctx}
}

// A page is one tab.
type page struct{ ctx context.Context }

// open opens a URL in a new tab.
func (b *browser) open(t *testing.T, url string) *page {
	t.Helper()
	ctx, closeTab := chromedp.NewContext(b.ctx)
	t.Cleanup(closeTab)
	p := &page{ctx}
	// The tab belongs to the context of the first Run, which must not time out.
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
	return p
}

// do does actions, each of which has to come to an end in time.
func (p *page) do(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ask(t, p, chromedp.Steps(actions...))
}

// ask does an action and returns what it comes to.
func ask[T any](t *testing.T, p *page, a chromedp.Action[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	out, err := chromedp.Run(ctx, a)
	if err != nil {
		t.Fatalf("%v\n%s", err, p.dump())
	}
	return out
}

// dump is what the page shows, for the message of a test that fails.
func (p *page) dump() string {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.dataset.state + ': ' + document.body.innerText"))
	if err != nil {
		return err.Error()
	}
	return text
}

// wants waits until the page is in a state.
func (p *page) wants(t *testing.T, state string) {
	t.Helper()
	p.do(t, chromedp.WaitReady(`body[data-state="`+state+`"]`))
}

// text returns what a person reads at an element.
func (p *page) text(t *testing.T, id string) string {
	t.Helper()
	return ask(t, p, chromedp.Text("#"+id, chromedp.NodeVisible))
}

// shoot takes a picture of the page where ROLLCALL_TEST_SCREENSHOTS says.
func (p *page) shoot(t *testing.T, name string) {
	t.Helper()
	dir := os.Getenv("ROLLCALL_TEST_SCREENSHOTS")
	if dir == "" {
		return
	}
	picture := ask(t, p, chromedp.CaptureScreenshot())
	if err := os.WriteFile(filepath.Join(dir, "arcade-"+name+".png"), picture, 0o644); err != nil {
		t.Fatal(err)
	}
}
