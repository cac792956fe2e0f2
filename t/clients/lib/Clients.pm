package Clients;

# Clients of others: where they are, and starting them.  ./build.sh test puts
# them into var/clients (util/clients.sh).
#
#   Clients::need(qw(npm chromium));
#   my $node = Clients->node;
#   my $browser = Clients->browser;

use strict;
use warnings;

use parent -norequire, 'Peer';

use JSON::PP ();
use Test::More ();

use Exam;
use Exam::Process;
use Peer;

our $Dir = $ENV{EXAM_CLIENTS} // "$Exam::Process::Root/var/clients";

my $here = "$Exam::Process::Root/t/clients";


# What is missing fails the test, or leaves it out if EXAM_NO_BROWSER says so.

sub need {
    my @missing = grep { !have($_) } @_;

    return unless @missing;

    if ($ENV{EXAM_NO_BROWSER}) {
        Test::More::plan(skip_all => "without @missing");
    }

    Test::More::fail("$_ is missing") for @missing;
    Test::More::diag('see the notes above, and ./build.sh test --help');
    Test::More::done_testing();
    exit 1;
}


sub have {
    my ($what) = @_;

    return -e "$Dir/installed" && -x "$Dir/bin/node" if $what eq 'npm';
    return defined chromium() if $what eq 'chromium';
    return (Exam::run('/usr/bin/python3', '-c', 'import requests'))[0] == 0
        if $what eq 'python3-requests';

    die "what is \"$what\"?\n";
}


sub chromium {
    my ($file) = grep { defined $_ && -x $_ } $ENV{EXAM_CHROMIUM},
        map { my $name = $_; map { "$_/$name" } split /:/, $ENV{PATH} }
        qw(chromium-headless-shell chromium);

    return $file;
}


# Does nginx speak HTTP/3?  From 1.25 on, where it was built with that.

sub has_quic {
    my (undef, undef, $built) = Exam::run($ENV{TEST_NGINX_BINARY}
                                          // Exam::bin('nginx'), '-V');

    return $built =~ /--with-http_v3_module/;
}


# Chromium that speaks nothing but HTTP/3 with that port of 127.0.0.1.

sub quic_browser {
    my ($class, $port, @more) = @_;

    my $cert = Exam::certificate();
    my $key = qx(openssl x509 -in $cert -pubkey -noout | openssl pkey -pubin \\
                 -outform der | openssl dgst -sha256 -binary | base64);

    chomp $key;

    return $class->browser('--enable-quic',
        "--origin-to-force-quic-on=127.0.0.1:$port",
        "--ignore-certificate-errors-spki-list=$key", @more);
}


# One script of all that it imports.

sub bundle {
    my ($name, @options) = @_;

    my $file = Exam::dir() . '/' . $name =~ s/\.mjs$/.js/r;

    local $ENV{NODE_PATH} = "$Dir/node_modules";

    my ($rc, undef, $err) = Exam::run("$Dir/bin/node",
        "$Dir/node_modules/esbuild/bin/esbuild", "$here/$name", '--bundle',
        '--log-level=warning', "--outfile=$file", @options);

    die "esbuild: $err\n" if $rc != 0;
    return $file;
}


sub node {
    my ($class) = @_;

    my $script = bundle('node.mjs', '--platform=node', '--format=cjs');

    return $class->SUPER::new('node', "$Dir/bin/node", $script)->_with;
}


# Comes back with the page there; its address is `origin`.  Flags are those of
# Chromium.

sub browser {
    my ($class, @flags) = @_;

    my $page = bundle('page.mjs', '--format=iife');
    my $script = bundle('browser.mjs', '--platform=node', '--format=cjs',
                        '--external:playwright-core');

    local $ENV{NODE_PATH} = "$Dir/node_modules";

    my $self = $class->SUPER::new('browser', "$Dir/bin/node", $script,
                                  chromium(), $page, @flags)->_with;

    $self->{origin} = $self->happened(undef, 'page', 60)->{origin};
    return $self;
}


sub _with { $_[0]{events} = []; return $_[0] }


# ---- what happens

# Waits until something has happened to the upload that the function (or an
# event of that name) says yes to, looking at what was not yet looked at with
# this upload.  The event; dies when time is over.

sub happened {
    my ($self, $id, $what, $seconds) = @_;

    my $wanted = ref $what ? $what : sub { $_[0]{event} eq $what };

    while (1) {
        my $events = $self->{events};

        while (my $event = $events->[$self->{at}{ $id // '' }++]) {
            next if ($event->{id} // '') ne ($id // '');
            return $event if $wanted->($event);
        }

        $self->{at}{ $id // '' }--;

        push @$events, eval { $self->listen($seconds // 60) }
            // die $@, $self->last_words($id);
    }
}


sub last_words {
    my ($self, $id) = @_;

    push @{ $self->{events} }, $self->listen while $self->talks;

    my @last = grep { ($_->{id} // '') eq ($id // '') } @{ $self->{events} };

    splice @last, 0, -8 if @last > 8;
    return map { JSON::PP->new->canonical->encode($_) . "\n" } @last;
}


# All that has happened to an upload until now, of one kind.

sub history {
    my ($self, $id, $event) = @_;

    push @{ $self->{events} }, $self->listen while $self->talks;

    return grep { ($_->{id} // '') eq $id && $_->{event} eq $event }
           @{ $self->{events} };
}


1;
