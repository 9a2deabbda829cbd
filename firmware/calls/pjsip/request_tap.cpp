// SPDX-License-Identifier: GPL-2.0-or-later
#include "request_tap.hpp"

#include <pjsua2/endpoint.hpp>
#include <pjsua-lib/pjsua.h>
#include <pjsua-lib/pjsua_internal.h>

#include <fcntl.h>
#include <map>
#include <sys/socket.h>
#include <unistd.h>

#define THIS_FILE "request_tap.cpp"

using std::string;

namespace pj {

namespace {

// A request in flight.  PJSIP holds only its number: an answer that comes after
// stop() finds nobody and is dropped.
struct Pending {
    int token;
    pj_pool_t *pool;
    bool has_credentials;
    pjsip_auth_clt_sess auth;
};

RequestTap *the_tap = NULL;
std::map<pj_ssize_t, Pending> pending;
pj_ssize_t last_number = 0;

pj_str_t view(const string &text)
{
    pj_str_t result;
    result.ptr = const_cast<char *>(text.data());
    result.slen = static_cast<pj_ssize_t>(text.size());
    return result;
}

pj_str_t copy(pj_pool_t *pool, const string &text)
{
    pj_str_t source = view(text), result;
    pj_strdup_with_null(pool, &result, &source);
    return result;
}

string to_string(const pj_str_t &text)
{
    return text.slen > 0 ? string(text.ptr, static_cast<size_t>(text.slen)) : string();
}

string uri_text(pjsip_uri_context_e context, const void *uri)
{
    char buffer[PJSIP_MAX_URL_SIZE];
    int length = uri ? pjsip_uri_print(context, uri, buffer, sizeof(buffer)) : -1;
    return length > 0 ? string(buffer, static_cast<size_t>(length)) : string();
}

string capability(pjsip_dialog *dialog, int type)
{
    const pjsip_hdr *list = &dialog->rem_cap_hdr;
    for (const pjsip_hdr *hdr = list->next; hdr != list; hdr = hdr->next) {
        if (hdr->type != static_cast<pjsip_hdr_e>(type))
            continue;
        const pjsip_generic_array_hdr *array =
            reinterpret_cast<const pjsip_generic_array_hdr *>(hdr);
        string result;
        for (unsigned i = 0; i < array->count; ++i)
            result += (i ? ", " : "") + to_string(array->values[i]);
        return result;
    }
    return string();
}

pj_bool_t on_rx_request(pjsip_rx_data *rdata);

pjsip_module module = {
    NULL, NULL,
    { const_cast<char *>("mod-request-tap"), 15 },
    -1,
    // After the transaction layer, which absorbs retransmissions; before the
    // dialog layer, which answers 481 to what it does not know.
    PJSIP_MOD_PRIORITY_UA_PROXY_LAYER - 1,
    NULL, NULL, NULL, NULL,
    &on_rx_request,
    NULL, NULL, NULL, NULL
};

bool known_dialog(pjsip_rx_data *rdata)
{
    const pj_str_t *to_tag = &rdata->msg_info.to->tag;
    return to_tag->slen > 0 &&
           pjsip_ua_find_dialog(&rdata->msg_info.cid->id, to_tag,
                                &rdata->msg_info.from->tag, PJ_FALSE) != NULL;
}

string source_of(const pjsip_rx_data *rdata)
{
    char port[16];
    pj_ansi_snprintf(port, sizeof(port), ":%d", rdata->pkt_info.src_port);
    return string(rdata->pkt_info.src_name) + port;
}

int ask(pjsip_rx_data *rdata)
{
    try {
        return the_tap->onRequest(to_string(rdata->msg_info.msg->line.req.method.name),
                                  to_string(rdata->msg_info.cid->id),
                                  to_string(rdata->msg_info.from->tag),
                                  to_string(rdata->msg_info.to->tag),
                                  string(rdata->msg_info.msg_buf,
                                         static_cast<size_t>(rdata->msg_info.len)),
                                  source_of(rdata));
    } catch (...) {
        PJ_LOG(2, (THIS_FILE, "onRequest raised: PJSIP handles the request"));
        return 0;
    }
}

pj_bool_t on_rx_request(pjsip_rx_data *rdata)
{
    const pjsip_method_e method = rdata->msg_info.msg->line.req.method.id;
    if (!the_tap || method == PJSIP_CANCEL_METHOD || known_dialog(rdata))
        return PJ_FALSE;
    const int code = ask(rdata);
    if (code == 0)
        return PJ_FALSE;
    if (method == PJSIP_ACK_METHOD)
        return PJ_TRUE;
    const int final_code = code >= 200 && code < 700 ? code : 500;
    if (pjsip_endpt_respond(pjsua_get_pjsip_endpt(), &module, rdata, final_code, NULL, NULL,
                            NULL, NULL) != PJ_SUCCESS)
        PJ_LOG(2, (THIS_FILE, "could not answer with %d", final_code));
    return PJ_TRUE;
}

void forget(std::map<pj_ssize_t, Pending>::iterator found)
{
    pj_pool_t *pool = found->second.pool;
    if (found->second.has_credentials)
        pjsip_auth_clt_deinit(&found->second.auth);
    pending.erase(found);
    pj_pool_release(pool);
}

void report(std::map<pj_ssize_t, Pending>::iterator found, int code, const string &reason,
            const string &message)
{
    const int token = found->second.token;
    forget(found);
    if (!the_tap)
        return;
    try {
        the_tap->onResponse(token, code, reason, message);
    } catch (...) {
        PJ_LOG(2, (THIS_FILE, "onResponse raised"));
    }
}

void on_response(void *token, pjsip_event *event);

// Once more with credentials; false when the challenge cannot be met.
bool answer_challenge(std::map<pj_ssize_t, Pending>::iterator found, pjsip_event *event)
{
    pjsip_transaction *tsx = event->body.tsx_state.tsx;
    pjsip_tx_data *tdata = NULL;
    const int code = tsx->status_code;
    if (!found->second.has_credentials || (code != 401 && code != 407) ||
        event->body.tsx_state.type != PJSIP_EVENT_RX_MSG)
        return false;
    if (pjsip_auth_clt_reinit_req(&found->second.auth, event->body.tsx_state.src.rdata,
                                  tsx->last_tx, &tdata) != PJ_SUCCESS)
        return false;
    pjsip_cseq_hdr *cseq = static_cast<pjsip_cseq_hdr *>(
        pjsip_msg_find_hdr(tdata->msg, PJSIP_H_CSEQ, NULL));
    ++cseq->cseq;
    const pj_ssize_t number = found->first;
    if (pjsip_endpt_send_request(pjsua_get_pjsip_endpt(), tdata, -1,
                                 reinterpret_cast<void *>(number), &on_response) == PJ_SUCCESS)
        return true;
    return pending.find(number) == pending.end();
}

void on_response(void *token, pjsip_event *event)
{
    std::map<pj_ssize_t, Pending>::iterator found =
        pending.find(reinterpret_cast<pj_ssize_t>(token));
    if (found == pending.end())
        return;
    if (answer_challenge(found, event))
        return;
    found = pending.find(reinterpret_cast<pj_ssize_t>(token));
    if (found == pending.end())
        return;
    const pjsip_transaction *tsx = event->body.tsx_state.tsx;
    string message;
    if (event->body.tsx_state.type == PJSIP_EVENT_RX_MSG) {
        const pjsip_rx_data *rdata = event->body.tsx_state.src.rdata;
        message.assign(rdata->msg_info.msg_buf, static_cast<size_t>(rdata->msg_info.len));
    }
    report(found, tsx->status_code, to_string(tsx->status_text), message);
}

void check(pj_status_t status, const char *what) PJSUA2_THROW(Error)
{
    if (status != PJ_SUCCESS)
        PJSUA2_RAISE_ERROR2(status, what);
}

// PJSIP's parser modifies what it reads and wants a NUL after it.
void *parse_header(pj_pool_t *pool, const char *name, const string &value) PJSUA2_THROW(Error)
{
    pj_str_t header = pj_str(const_cast<char *>(name));
    pj_str_t text = copy(pool, value);
    void *result = pjsip_parse_hdr(pool, &header, text.ptr, static_cast<pj_size_t>(text.slen),
                                   NULL);
    if (!result)
        PJSUA2_RAISE_ERROR3(PJSIP_EINVALIDHDR, "sendRequest", string(name) + ": " + value);
    return result;
}

pjsip_tx_data *build(pj_pool_t *pool, const RawRequest &request) PJSUA2_THROW(Error)
{
    pjsip_method method;
    pj_str_t name = copy(pool, request.method);
    pjsip_method_init_np(&method, &name);

    pj_str_t target_text = copy(pool, request.targetUri);
    pjsip_uri *target = pjsip_parse_uri(pool, target_text.ptr,
                                        static_cast<pj_size_t>(target_text.slen), 0);
    if (!target)
        PJSUA2_RAISE_ERROR3(PJSIP_EINVALIDURI, "sendRequest", request.targetUri);

    pjsip_from_hdr *from = static_cast<pjsip_from_hdr *>(parse_header(pool, "From", request.fromHeader));
    pjsip_to_hdr *to = static_cast<pjsip_to_hdr *>(parse_header(pool, "To", request.toHeader));
    pjsip_contact_hdr *contact = NULL;
    if (!request.contact.empty())
        contact = static_cast<pjsip_contact_hdr *>(parse_header(pool, "Contact", request.contact));
    pjsip_cid_hdr *call_id = pjsip_cid_hdr_create(pool);
    call_id->id = copy(pool, request.callId);

    pjsip_tx_data *tdata = NULL;
    check(pjsip_endpt_create_request_from_hdr(pjsua_get_pjsip_endpt(), &method, target, from, to,
                                              contact, call_id,
                                              request.cseq > 0 ? request.cseq : -1, NULL, &tdata),
          "sendRequest");
    return tdata;
}

void complete(pj_pool_t *pool, pjsip_tx_data *tdata, const RawRequest &request)
    PJSUA2_THROW(Error)
{
    for (size_t i = 0; i < request.routeSet.size(); ++i)
        pjsip_msg_add_hdr(tdata->msg, static_cast<pjsip_hdr *>(pjsip_hdr_clone(
                                          tdata->pool,
                                          parse_header(pool, "Route", request.routeSet[i]))));
    for (size_t i = 0; i < request.headers.size(); ++i) {
        pj_str_t name = copy(tdata->pool, request.headers[i].hName);
        pj_str_t value = copy(tdata->pool, request.headers[i].hValue);
        pjsip_msg_add_hdr(tdata->msg, reinterpret_cast<pjsip_hdr *>(
                                          pjsip_generic_string_hdr_create(tdata->pool, &name,
                                                                          &value)));
    }
    if (request.body.empty())
        return;
    const size_t slash = request.contentType.find('/');
    pj_str_t type = copy(tdata->pool, request.contentType.substr(0, slash));
    pj_str_t subtype = copy(tdata->pool, slash == string::npos
                                             ? string()
                                             : request.contentType.substr(slash + 1));
    pj_str_t body = copy(tdata->pool, request.body);
    tdata->msg->body = pjsip_msg_body_create(tdata->pool, &type, &subtype, &body);
}

} // namespace

struct RequestTap::Impl {
    int wake_write;
    pj_pool_t *pool;
    pj_activesock_t *wake_read;

    Impl() : wake_write(-1), pool(NULL), wake_read(NULL) {}
};

RequestTap::RequestTap() : impl(new Impl) {}

void RequestTap::setLogLevel(int level)
{
    pj_log_set_level(level);
}

RequestTap::~RequestTap()
{
    stop();
    delete impl;
}

static pj_bool_t on_wake(pj_activesock_t *, void *, pj_size_t, pj_status_t, pj_size_t *)
{
    return PJ_TRUE;
}

void RequestTap::start() PJSUA2_THROW(Error)
{
    int ends[2];
    if (the_tap)
        PJSUA2_RAISE_ERROR2(PJ_EEXISTS, "RequestTap.start");
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        PJSUA2_RAISE_ERROR2(PJ_STATUS_FROM_OS(errno), "RequestTap.start");

    pj_activesock_cb callback;
    pj_bzero(&callback, sizeof(callback));
    callback.on_data_read = &on_wake;
    impl->pool = pjsua_pool_create("tap%p", 512, 512);
    impl->wake_write = ends[1];
    pj_status_t status =
        pj_activesock_create(impl->pool, ends[0], pj_SOCK_DGRAM(), NULL,
                             pjsip_endpt_get_ioqueue(pjsua_get_pjsip_endpt()), &callback, NULL,
                             &impl->wake_read);
    if (status != PJ_SUCCESS)
        close(ends[0]);
    if (status == PJ_SUCCESS)
        status = pj_activesock_start_read(impl->wake_read, impl->pool, 64, 0);
    if (status == PJ_SUCCESS)
        status = pjsip_endpt_register_module(pjsua_get_pjsip_endpt(), &module);
    the_tap = this;
    if (status != PJ_SUCCESS) {
        stop();
        PJSUA2_RAISE_ERROR2(status, "RequestTap.start");
    }
}

void RequestTap::stop()
{
    if (the_tap != this)
        return;
    the_tap = NULL;
    while (!pending.empty())
        forget(pending.begin());
    if (module.id >= 0)
        pjsip_endpt_unregister_module(pjsua_get_pjsip_endpt(), &module);
    if (impl->wake_read)
        pj_activesock_close(impl->wake_read);
    impl->wake_read = NULL;
    close(impl->wake_write);
    impl->wake_write = -1;
    pj_pool_release(impl->pool);
    impl->pool = NULL;
}

void RequestTap::wake()
{
    // A full queue means that a wake-up is already on its way.
    if (impl->wake_write >= 0)
        (void)!send(impl->wake_write, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void RequestTap::sendRequest(const RawRequest &request, int token) PJSUA2_THROW(Error)
{
    pj_pool_t *pool = pjsua_pool_create("raw%p", 1024, 1024);
    pjsip_tx_data *tdata = NULL;
    try {
        tdata = build(pool, request);
        complete(pool, tdata, request);
    } catch (Error &) {
        if (tdata)
            pjsip_tx_data_dec_ref(tdata);
        pj_pool_release(pool);
        throw;
    }

    const pj_ssize_t number = ++last_number;
    Pending &entry = pending[number];
    entry.token = token;
    entry.pool = pool;
    entry.has_credentials = !request.username.empty();
    if (entry.has_credentials) {
        pjsip_cred_info credentials;
        pj_bzero(&credentials, sizeof(credentials));
        credentials.realm = pj_str(const_cast<char *>("*"));
        credentials.scheme = pj_str(const_cast<char *>("digest"));
        credentials.username = copy(pool, request.username);
        credentials.data = copy(pool, request.password);
        credentials.data_type = PJSIP_CRED_DATA_PLAIN_PASSWD;
        pjsip_auth_clt_init(&entry.auth, pjsua_get_pjsip_endpt(), pool, 0);
        pjsip_auth_clt_set_credentials(&entry.auth, 1, &credentials);
    }

    const pj_status_t status =
        pjsip_endpt_send_request(pjsua_get_pjsip_endpt(), tdata, -1,
                                 reinterpret_cast<void *>(number), &on_response);
    std::map<pj_ssize_t, Pending>::iterator found = pending.find(number);
    if (status != PJ_SUCCESS && found != pending.end()) {
        forget(found);
        PJSUA2_RAISE_ERROR2(status, "sendRequest");
    }
}

DialogState RequestTap::dialogState(int callId) PJSUA2_THROW(Error)
{
    if (callId < 0 || callId >= static_cast<int>(pjsua_var.ua_cfg.max_calls) ||
        !pjsua_var.calls[callId].inv || !pjsua_var.calls[callId].inv->dlg)
        PJSUA2_RAISE_ERROR2(PJ_ENOTFOUND, "dialogState");

    pjsip_inv_session *session = pjsua_var.calls[callId].inv;
    pjsip_dialog *dialog = session->dlg;
    DialogState state;
    state.callId = to_string(dialog->call_id->id);
    state.localUri = uri_text(PJSIP_URI_IN_FROMTO_HDR, dialog->local.info->uri);
    state.localTag = to_string(dialog->local.info->tag);
    state.remoteUri = uri_text(PJSIP_URI_IN_FROMTO_HDR, dialog->remote.info->uri);
    state.remoteTag = to_string(dialog->remote.info->tag);
    state.remoteTarget =
        uri_text(PJSIP_URI_IN_REQ_URI, dialog->target ? pjsip_uri_get_uri(dialog->target) : NULL);
    if (dialog->local.contact)
        state.localContact = uri_text(PJSIP_URI_IN_CONTACT_HDR, dialog->local.contact->uri);
    state.supported = capability(dialog, PJSIP_H_SUPPORTED);
    state.allow = capability(dialog, PJSIP_H_ALLOW);
    if (session->invite_tsx && session->invite_tsx->transport)
        state.transport = session->invite_tsx->transport->type_name;
    for (pjsip_route_hdr *route = dialog->route_set.next; route != &dialog->route_set;
         route = route->next)
        state.routeSet.push_back(uri_text(PJSIP_URI_IN_ROUTING_HDR, &route->name_addr));
    state.localCseq = static_cast<unsigned>(dialog->local.cseq - 1); // PJSIP keeps the next one
    state.remoteCseq = static_cast<int>(dialog->remote.cseq);
    state.confirmed = session->state == PJSIP_INV_STATE_CONFIRMED;
    return state;
}

int RequestTap::onRequest(const string &, const string &, const string &, const string &,
                          const string &, const string &)
{
    return 0;
}

void RequestTap::onResponse(int, int, const string &, const string &) {}

} // namespace pj
