// SPDX-License-Identifier: GPL-2.0-or-later
//
// What pjsua2 does not offer and a turret needs after a restart: to see the
// requests of dialogs that PJSIP does not know, to send a request inside a
// dialog that PJSIP did not create, and to read a live dialog so that it can be
// written to the journal.  Same thread rules as pjsua2: every call on the
// thread that owns the library, except wake().
#ifndef OPENTURRET_REQUEST_TAP_HPP
#define OPENTURRET_REQUEST_TAP_HPP

#include <pjsua2/types.hpp>
#include <pjsua2/siptypes.hpp>
#include <string>

namespace pj {

// A dialog as RFC 3261 section 12 defines it.  URIs are in name-addr form
// (`"Alice" <sip:1001@host>`), tags are bare, the route set is in sending order.
struct DialogState {
    std::string callId;
    std::string localUri;
    std::string localTag;
    std::string remoteUri;
    std::string remoteTag;
    std::string remoteTarget;   // Request-URI of the next request
    std::string localContact;
    std::string supported;      // the peer's Supported, "" when it sent none
    std::string allow;          // the peer's Allow
    std::string transport;      // transport of the last message: "UDP", "TCP", ...
    StringVector routeSet;
    unsigned localCseq;         // the last one used
    int remoteCseq;             // -1 while nothing has come
    bool confirmed;

    DialogState() : localCseq(0), remoteCseq(-1), confirmed(false) {}
};

// A request written out by hand.  fromHeader and toHeader carry their tags.  An empty
// callId or From tag is invented, a cseq below 1 is drawn at random.
struct RawRequest {
    std::string method;
    std::string targetUri;
    std::string fromHeader;
    std::string toHeader;
    std::string contact;
    std::string callId;
    int cseq;
    StringVector routeSet;
    SipHeaderVector headers;
    std::string contentType;
    std::string body;
    std::string username;       // answers one 401 or 407 when set
    std::string password;

    RawRequest() : cseq(-1) {}
};

class RequestTap {
public:
    RequestTap();
    virtual ~RequestTap();

    // PJSIP logs to stdout until libInit tells it otherwise; before libCreate.
    static void setLogLevel(int level);

    // Between libStart and libDestroy.
    void start() PJSUA2_THROW(Error);
    void stop();

    // Ends a libHandleEvents that is waiting.  From any thread.
    void wake();

    // Sends; onResponse(token) comes exactly once, unless this throws.
    void sendRequest(const RawRequest &request, int token) PJSUA2_THROW(Error);

    // Throws when the call has no dialog.
    DialogState dialogState(int callId) PJSUA2_THROW(Error);

    // A request that belongs to no dialog of PJSIP's: 0 lets PJSIP have it,
    // anything else is the final status.  The answer goes out through a UAS
    // transaction, so retransmissions never get here.  An ACK cannot be
    // answered: any value but 0 swallows it.  CANCEL is never shown.
    virtual int onRequest(const std::string &method, const std::string &callId,
                          const std::string &fromTag, const std::string &toTag,
                          const std::string &wholeMessage, const std::string &sourceAddress);

    // The final response; 408 when none came, 503 when the transport failed.
    virtual void onResponse(int token, int statusCode, const std::string &reason,
                            const std::string &wholeMessage);

private:
    struct Impl;
    Impl *impl;

    RequestTap(const RequestTap &);
    RequestTap &operator=(const RequestTap &);
};

} // namespace pj

#endif
