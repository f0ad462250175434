package webhook

import "errors"

var (
	// ErrTarget says that a webhook may not go there: the URL has not the form
	// that CheckURL asks for, or the address that was about to be dialed is
	// refused. The error that wraps it names the address.
	ErrTarget = errors.New("webhook target refused")
	// ErrGone says that the receiver answered 410: it wants no more webhooks.
	ErrGone = errors.New("webhook receiver is gone")
)
