"""What we use of pjsua2 and of our request tap (pjsip/request_tap.hpp)."""
# ruff: noqa: N802, N815

from collections.abc import Iterator

PJMEDIA_DIR_DECODING: int
PJMEDIA_DIR_ENCODING: int
PJSIP_EVENT_RX_MSG: int
PJSIP_EVENT_TSX_STATE: int
PJSIP_INV_STATE_CONFIRMED: int
PJSIP_INV_STATE_DISCONNECTED: int
PJSIP_INV_STATE_EARLY: int
PJSIP_TRANSPORT_TCP: int
PJSIP_TRANSPORT_UDP: int
PJSUA_CALL_MEDIA_ACTIVE: int
PJSUA_CALL_UNHOLD: int
PJSUA_INVALID_ID: int
PJSUA_SIP_TIMER_INACTIVE: int

class Error(Exception):
    status: int
    reason: str
    def info(self, multi_line: bool = ...) -> str: ...

class LogEntry:
    level: int
    msg: str

class LogWriter:
    def __init__(self) -> None: ...
    def __disown__(self) -> LogWriter: ...
    def write(self, entry: LogEntry) -> None: ...

class _UaConfig:
    threadCnt: int
    mainThreadOnly: bool
    maxCalls: int
    userAgent: str
    mwiUnsolicitedEnabled: bool

class _MediaConfig:
    threadCnt: int
    hasIoqueue: bool
    clockRate: int
    sndClockRate: int
    noVad: bool
    maxMediaPorts: int

class _LogConfig:
    level: int
    consoleLevel: int
    msgLogging: int
    writer: LogWriter

class EpConfig:
    uaConfig: _UaConfig
    medConfig: _MediaConfig
    logConfig: _LogConfig
    def __init__(self) -> None: ...

class TransportConfig:
    port: int
    boundAddress: str
    publicAddress: str
    def __init__(self) -> None: ...

class _AudDevManager:
    def setNoDev(self) -> None: ...

class _CodecInfo:
    codecId: str

class Endpoint:
    def __init__(self) -> None: ...
    def libCreate(self) -> None: ...
    def libInit(self, config: EpConfig) -> None: ...
    def libStart(self) -> None: ...
    def libHandleEvents(self, timeout_ms: int) -> int: ...
    def libDestroy(self, flags: int = ...) -> None: ...
    def transportCreate(self, kind: int, config: TransportConfig) -> int: ...
    def audDevManager(self) -> _AudDevManager: ...
    def codecEnum2(self) -> Iterator[_CodecInfo]: ...
    def codecSetPriority(self, codec_id: str, priority: int) -> None: ...

class SipHeader:
    hName: str
    hValue: str
    def __init__(self) -> None: ...

class _HeaderVector:
    def append(self, header: SipHeader) -> None: ...

class _StringVector:
    def append(self, text: str) -> None: ...
    def __iter__(self) -> Iterator[str]: ...

class _SipMediaType:
    type: str
    subType: str

class SipMultipartPart:
    headers: _HeaderVector
    contentType: _SipMediaType
    body: str
    def __init__(self) -> None: ...

class _PartVector:
    def append(self, part: SipMultipartPart) -> None: ...

class _SipTxOption:
    headers: _HeaderVector
    multipartContentType: _SipMediaType
    multipartParts: _PartVector
    contactUri: str

class _CallSetting:
    flag: int
    audioCount: int
    videoCount: int
    textCount: int

class CallOpParam:
    sdp: _Sdp
    opt: _CallSetting
    statusCode: int
    txOption: _SipTxOption
    def __init__(self, use_default: bool = ...) -> None: ...

class AuthCredInfo:
    def __init__(self, scheme: str, realm: str, username: str, kind: int, data: str) -> None: ...

class _CredVector:
    def append(self, info: AuthCredInfo) -> None: ...

class _SipConfig:
    authCreds: _CredVector
    proxies: _StringVector
    contactParams: str
    contactForced: str

class _RegConfig:
    registrarUri: str
    registerOnAdd: bool
    timeoutSec: int
    retryIntervalSec: int
    firstRetryIntervalSec: int

class _NatConfig:
    contactRewriteUse: int
    viaRewriteUse: int
    contactUseSrcPort: int
    sdpNatRewriteUse: int
    sipOutboundUse: int
    udpKaIntervalSec: int

class _MediaTransportConfig:
    port: int

class _AccountMediaConfig:
    useLoopMedTp: bool
    lockCodecEnabled: bool
    transportConfig: _MediaTransportConfig

class _CallConfig:
    timerUse: int

class _MwiConfig:
    enabled: bool

class AccountConfig:
    priority: int
    idUri: str
    sipConfig: _SipConfig
    regConfig: _RegConfig
    natConfig: _NatConfig
    mediaConfig: _AccountMediaConfig
    callConfig: _CallConfig
    mwiConfig: _MwiConfig
    def __init__(self) -> None: ...

class _SipRxData:
    wholeMsg: str
    srcAddress: str

class OnRegStateParam:
    status: int
    code: int
    reason: str
    expiration: int

class OnIncomingCallParam:
    callId: int
    rdata: _SipRxData

class Account:
    def __init__(self) -> None: ...
    def create(self, config: AccountConfig) -> None: ...
    def shutdown(self) -> None: ...
    def setRegistration(self, renew: bool) -> None: ...
    def onRegState(self, prm: OnRegStateParam) -> None: ...
    def onIncomingCall(self, prm: OnIncomingCallParam) -> None: ...

class _CallMediaInfo:
    index: int
    status: int
    dir: int

class CallInfo:
    state: int
    stateText: str
    lastStatusCode: int
    lastReason: str
    media: list[_CallMediaInfo]
    callIdString: str
    remoteUri: str
    localUri: str

class _CodecFmtp:
    name: str
    val: str

class _CodecSetting:
    frmPerPkt: int
    encFmtp: list[_CodecFmtp]

class _CodecDescription:
    frameLen: int

class _AudCodecParam:
    info: _CodecDescription
    setting: _CodecSetting

class StreamInfo:
    remoteRtpAddress: str
    remoteRtcpAddress: str
    codecName: str
    txPt: int
    audTxEventPt: int
    dir: int
    audCodecParam: _AudCodecParam

class _Sdp:
    wholeSdp: str

class OnCallSdpCreatedParam:
    sdp: _Sdp
    remSdp: _Sdp

class OnCallStateParam: ...
class OnCallMediaStateParam: ...

class _Transaction:
    state: int
    statusCode: int
    statusText: str
    method: str
    role: int

class _TsxState:
    type: int
    tsx: _Transaction

class _EventBody:
    tsxState: _TsxState

class _SipEvent:
    type: int
    body: _EventBody

class OnCallTsxStateParam:
    e: _SipEvent

class OnCallReplaceRequestParam:
    rdata: _SipRxData
    statusCode: int
    opt: _CallSetting
    newCall: Call

class OnCallReplacedParam:
    newCallId: int
    newCall: Call

class Call:
    def __init__(self, account: Account, call_id: int = ...) -> None: ...
    def getId(self) -> int: ...
    def getInfo(self) -> CallInfo: ...
    def getStreamInfo(self, index: int) -> StreamInfo: ...
    def makeCall(self, uri: str, prm: CallOpParam) -> None: ...
    def answer(self, prm: CallOpParam) -> None: ...
    def hangup(self, prm: CallOpParam) -> None: ...
    def setHold(self, prm: CallOpParam) -> None: ...
    def reinvite(self, prm: CallOpParam) -> None: ...
    def onCallState(self, prm: OnCallStateParam) -> None: ...
    def onCallMediaState(self, prm: OnCallMediaStateParam) -> None: ...
    def onCallSdpCreated(self, prm: OnCallSdpCreatedParam) -> None: ...
    def onCallTsxState(self, prm: OnCallTsxStateParam) -> None: ...
    def onCallReplaceRequest(self, prm: OnCallReplaceRequestParam) -> None: ...
    def onCallReplaced(self, prm: OnCallReplacedParam) -> None: ...

class RawRequest:
    method: str
    targetUri: str
    fromHeader: str
    toHeader: str
    contact: str
    callId: str
    cseq: int
    routeSet: _StringVector
    headers: _HeaderVector
    contentType: str
    body: str
    username: str
    password: str
    def __init__(self) -> None: ...

class DialogState:
    callId: str
    localUri: str
    localTag: str
    remoteUri: str
    remoteTag: str
    remoteTarget: str
    localContact: str
    supported: str
    allow: str
    transport: str
    routeSet: _StringVector
    localCseq: int
    remoteCseq: int
    confirmed: bool

class RequestTap:
    def __init__(self) -> None: ...
    @staticmethod
    def setLogLevel(level: int) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def wake(self) -> None: ...
    def sendRequest(self, request: RawRequest, token: int) -> None: ...
    def dialogState(self, call_id: int) -> DialogState: ...
    def onRequest(
        self,
        method: str,
        call_id: str,
        from_tag: str,
        to_tag: str,
        message: str,
        source: str,
    ) -> int: ...
    def onResponse(self, token: int, status: int, reason: str, message: str) -> None: ...
