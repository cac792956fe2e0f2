package Exam::Api;

# A candidate's client and an operator's eye on one nginx, for the tests of the
# module.  An answer is a hash: status, headers (names in lower case), content,
# json (decoded, where it is JSON).  Requests go over one connection, header and
# body in one packet as browsers send them; raw() sends bytes as they are.

use strict;
use warnings;

use Exporter 'import';
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use MIME::Base64 qw(decode_base64url);
use Test::More ();
use Time::HiRes qw(sleep time);

use Exam;

our @EXPORT_OK = qw(problem is_problem is_shape claims_of raw_request session);

our $Code = '0123-4567-89AB-CDEF';


# Each worker process has first to find Redis, or a login would be a 503;
# redis => 0 does not wait for that.

sub new {
    my ($class, $nginx, %opt) = @_;

    my $self = bless { nginx => $nginx, url => $nginx->url,
                       port => $nginx->{port} }, $class;

    $self->connected unless defined $opt{redis} && !$opt{redis};
    return $self;
}


sub connected {
    my ($self) = @_;

    my $nginx = $self->{nginx};

    Exam::wait_for {
        my @workers = $nginx->workers;
        my $log = Exam::slurp($nginx->{error_log});

        return @workers && !grep { $log !~ / $_#$_: exam redis .* connected/ }
                                 @workers;
    } 20 or die "nginx does not find Redis\n";
}


sub nginx { return $_[0]{nginx} }


# ---- requests

sub req {
    my ($self, $method, $path, $headers, $body) = @_;

    my @headers = map { "$_: $headers->{$_}" } sort keys %{ $headers // {} };

    $body = JSON::PP->new->canonical->utf8->encode($body) if ref $body;
    $body = '' if !defined $body && $method !~ /^(?:GET|HEAD)$/;

    my $text = raw_request($method, $path, \@headers, $body);

    # a connection that was kept may have been closed meanwhile

    for my $kept (delete $self->{sock}, undef) {
        my $sock = $kept // $self->connect;
        my ($res) = $self->raw($text, sock => $sock, head => $method eq 'HEAD',
                               timeout => 30);

        next if $kept && !$res;

        $self->{sock} = $sock
            if $res && ($res->{headers}{connection} // '') ne 'close';
        return $res // { status => 599, headers => {}, content => '' };
    }
}


sub get {
    my ($self, $path, $token) = @_;

    return $self->req('GET', $path, _auth($token));
}


sub post {
    my ($self, $path, $body, $token) = @_;

    return $self->req('POST', $path, _auth($token), $body);
}


sub login {
    my ($self, $exam, $student, $code) = @_;

    return $self->post('/api/v1/login', {
        exam => $exam, student => $student, code => $code // $Code,
    });
}


# The answer of a login that must come to be: a slow machine may take Redis for
# away in the first moments.

sub logged_in {
    my ($self, $exam, $student) = @_;

    my $res;

    Exam::wait_for {
        $res = $self->login($exam, $student);
        return $res->{status} != 503;
    } 20;

    die "no login of $student: $res->{status} $res->{content}\n"
        if $res->{status} != 200;

    return $res->{json};
}


# seq counts up by itself when the body is not given

sub beat {
    my ($self, $token, $body) = @_;

    $body //= { seq => $self->{seq}++ // 0 };

    return $self->post('/api/v1/heartbeat', $body, $token);
}


sub me { return $_[0]->get('/api/v1/me', $_[1]) }


sub logout {
    my ($self, $token, $body) = @_;

    return $self->post('/api/v1/logout', $body // {}, $token);
}


sub _auth {
    my ($token) = @_;

    return defined $token ? { Authorization => "Bearer $token" } : {};
}


# A counter or gauge of /metrics, without its prefix.

sub metric {
    my ($self, $name) = @_;

    my ($value) = $self->get('/metrics')->{content} =~ /^exam_$name (\S+)$/m;
    return $value;
}


sub status { return $_[0]->get('/status')->{json} }


# Waits until `seen` of the student in Redis has reached the time: true then.

sub flushed {
    my ($self, $exam, $student, $since) = @_;

    return Exam::wait_for {
        my $seen = Exam::redis_cmd('ZSCORE', "exam:{$exam}:seen", $student);
        return defined $seen && $seen >= $since;
    };
}


# ---- bytes

# Sends the pieces, each when the one before has left; reads `n` (1) answers,
# or what comes until the server closes (n => 0).  Returns the answers; after
# them `closed`: 1 when the server has closed the connection.

sub raw {
    my ($self, $pieces, %opt) = @_;

    my $sock = $opt{sock} // $self->connect;
    my $buffer = '';
    my @answers;
    my $n = $opt{n} // 1;

    local $SIG{PIPE} = 'IGNORE';

    for my $piece (ref $pieces ? @$pieces : $pieces) {
        $sock->syswrite($piece);
        sleep 0.01 if ref $pieces;
    }

    my $end = time + ($opt{timeout} // 10);
    my $select = IO::Select->new($sock);

    while (1) {
        while (my $answer = _take(\$buffer, $opt{head})) {
            push @answers, $answer;
            return @answers if $n && @answers == $n;
        }

        last if time > $end || !$select->can_read($end - time);
        $sock->sysread($buffer, 65536, length $buffer) or last;
    }

    return @answers;
}


sub connect {
    my ($self) = @_;

    return IO::Socket::INET->new(PeerAddr => "127.0.0.1:$self->{port}",
                                 Timeout => 5)
           // die "cannot connect: $!\n";
}


# The first whole answer in the buffer, cut off there.  A 100 is one, too.

sub _take {
    my ($buffer, $head) = @_;

    $$buffer =~ /\A(HTTP\/1\.[01] (\d{3}).*?\r\n)\r\n/s or return;

    my ($header, $status) = ($1, $2);
    my %headers;

    while ($header =~ /^([\w-]+):[ ]*(.*?)\r$/gm) {
        my ($name, $value) = (lc $1, $2);
        $headers{$name} = exists $headers{$name}
            ? "$headers{$name}, $value" : $value;
    }

    my $start = 2 + length $header;
    my $length = $status == 100 || $head ? 0 : $headers{'content-length'};
    my $body;

    if (!defined $length) {
        my $rest = substr $$buffer, $start;

        return unless $rest =~ /\A(.*?\r\n)?0\r\n(.*?)\r\n/s;
        ($body = $1 // '') =~ s/(?:\A|\r\n)[0-9a-f]+\r\n//g;
        $body =~ s/\r\n\z//;
        $length = length $&;

    } else {
        return if length($$buffer) < $start + $length;
        $body = substr $$buffer, $start, $length;
    }

    substr $$buffer, 0, $start + $length, '';

    my %json;

    $json{json} = eval { JSON::PP->new->utf8->decode($body) }
        if ($headers{'content-type'} // '') =~ m{[/+]json\b};

    return { status => $status, headers => \%headers, content => $body,
             header => $header, %json };
}


# An HTTP/1.1 request as text; a body gets its length unless a header says how
# long it is.

sub raw_request {
    my ($method, $path, $headers, $body) = @_;

    my $text = "$method $path HTTP/1.1\r\nHost: t\r\n";
    $text .= "$_\r\n" for @{ $headers // [] };
    $text .= 'Content-Length: ' . length($body) . "\r\n"
        if defined $body && !grep /^(?:content-length|transfer-encoding):/i,
                                  @{ $headers // [] };

    return "$text\r\n" . ($body // '');
}


# ---- what is expected

# '' when the answer is a problem of the status and code, else what is wrong.

sub problem {
    my ($res, $status, $code) = @_;

    my $json = $res->{json};

    return "no answer" unless defined $res->{status};
    return "status $res->{status}: $res->{content}"
        if $res->{status} != $status;
    return 'type ' . ($res->{headers}{'content-type'} // '')
        if ($res->{headers}{'content-type'} // '')
           ne 'application/problem+json';
    return "body $res->{content}" unless ref $json eq 'HASH';
    return "members @{[ sort keys %$json ]}"
        if grep { !defined $json->{$_} || ref $json->{$_} }
           qw(type title status code detail);
    return "status in body $json->{status}" if $json->{status} != $status;
    return "code $json->{code}" if $json->{code} ne $code;
    return 'no Retry-After' if ($status == 429 || $status == 503)
        && ($res->{headers}{'retry-after'} // '') !~ /^[1-9]\d*$/;
    return 'no WWW-Authenticate' if $status == 401
        && $code ne 'invalid_credentials'
        && ($res->{headers}{'www-authenticate'} // '') !~ /^Bearer\b/;
    return 'no Allow' if $status == 405 && !$res->{headers}{allow};

    return '';
}


sub is_problem {
    my ($res, $status, $code, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return Test::More::is(problem($res, $status, $code), '', $name);
}


# Compares a decoded answer with a shape: int num str bool null, `|` between
# them, a list [shape] of any length, a hash of shapes, or a reference to a
# value that must be equal.  Members that the shape has not are told, too.

sub is_shape {
    my ($value, $shape, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return Test::More::is(join('; ', _shape($value, $shape, '')), '', $name);
}


sub _shape {
    my ($value, $shape, $at) = @_;

    if (ref $shape eq 'SCALAR') {
        return ($value // 'null') eq $$shape ? () : "$at is not $$shape";
    }

    if (ref $shape eq 'ARRAY') {
        return "$at is no list" unless ref $value eq 'ARRAY';
        return map { _shape($value->[$_], $shape->[0], "$at\[$_]") }
               0 .. $#$value;
    }

    if (ref $shape eq 'HASH') {
        return "$at is no object" unless ref $value eq 'HASH';

        my %names = (%$value, %$shape);

        return map {
            !exists $value->{$_} ? "$at.$_ is missing"
            : !exists $shape->{$_} ? "$at.$_ is too much"
            : _shape($value->{$_}, $shape->{$_}, "$at.$_")
        } sort keys %names;
    }

    my $is = !defined $value ? 'null'
        : JSON::PP::is_bool($value) ? 'bool'
        : ref $value ? lc ref $value
        : _is_number($value) ? ($value =~ /^-?\d+$/ ? 'int' : 'num') : 'str';

    return if grep { $_ eq $is || $_ eq 'num' && $is eq 'int' }
              split /\|/, $shape;
    return "$at is $is";
}


sub _is_number {
    my ($value) = @_;

    return JSON::PP->new->allow_nonref->encode($value) !~ /^"/;
}


sub claims_of {
    my ($token) = @_;

    return JSON::PP->new->utf8->decode(
        decode_base64url((split /\./, $token)[1]));
}


# What Redis holds of a student's session.

sub session {
    my ($exam, $student) = @_;

    my $text = Exam::redis_cmd('HGET', "exam:{$exam}:sessions", $student);

    return defined $text ? JSON::PP->new->utf8->decode($text) : undef;
}


1;
