// Added behind pjsua2.i by build.py.
%{
#include "request_tap.hpp"
%}
%feature("director") pj::RequestTap;
%ignore pj::RequestTap::impl;
%include "request_tap.hpp"
