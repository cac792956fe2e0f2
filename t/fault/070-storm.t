# The random storm: clients that are well-behaved and others that vanish, hang,
# crawl and lie, while processes are killed and stopped, Redis is emptied, the
# disk is full or slow, nginx is reloaded and replaced.  Whatever was
# acknowledged must be there in the end, once.
#
# EXAM_STORM_MINUTES: 20 by `./build.sh test fault --minutes 20`; else a storm
# of a minute.  EXAM_SEED: the seed of an earlier one, for the same faults in
# the same order.

use strict;
use warnings;

use lib 't/lib', 't/fault/lib';

use List::Util qw(shuffle);
use POSIX qw(WNOHANG);
use Test::More;
use Time::HiRes qw(sleep time);

use Exam;
use Storm;
use Storm::Audit;
use Storm::Client;
use Storm::Resume;

plan skip_all => 'one flavour is enough'
    if ($ENV{EXAM_FLAVOUR} // 'static') ne 'static';

my $minutes = $ENV{EXAM_STORM_MINUTES};
my $seconds = 60 * ($minutes // 1);
my $least = int(($minutes // 2) / 2) || 1;
my $least_acks = $minutes ? 250 * $minutes : 100;
my $seed = $ENV{EXAM_SEED} // int rand 2 ** 31;
my %clients = (uploader => 11, resumer => 6, poster => 3, beater => 5,
               visitor => 2);
my $dir = Exam::dir();
my %code;

$SIG{PIPE} = 'IGNORE';
diag("seed $seed");
srand $seed;
Storm::start();

Storm::ctl('exam', 'create', $Storm::Exam, '--title', 'Storm', '--starts',
           'now', '--ends', '+12h');
Storm::ctl('roster', 'generate', $Storm::Exam, '--count', 31, '--prefix', 'K',
           '--codes', "$dir/codes.csv");
Storm::ctl('exam', 'open', $Storm::Exam);

%code = map { (split /,/)[0, 2] } grep { !/^student/ }
        split /\r?\n/, Exam::slurp("$dir/codes.csv");

my @students = sort keys %code;
my (@beaters, $serial);

for my $kind (sort keys %clients) {
    for (1 .. $clients{$kind}) {
        my $student = shift @students;

        push @beaters, $student if $kind eq 'beater';
        Storm::Client::begin($kind, student => $student,
            code => $code{$student}, server => $Storm::Nginx,
            seed => $seed + ++$serial);
    }
}

Storm::Client::begin('staff', beaters => \@beaters, seed => $seed + 1000);

sub kinds_short {
    return grep { ($Storm::Struck{$_} // 0) < $least && !$Storm::Without{$_} }
           Storm::kinds();
}

sub acks {
    my $n = 0;

    for my $file (glob "$dir/told.{uploader,resumer}.*") {
        $n += () = Exam::slurp($file) =~ /^ack /mg;
    }

    return $n;
}

my $begin = time;

Storm::blow($seconds, 2 * $seconds + 240, sub {
    return !kinds_short() && acks() >= $least_acks;
});

my $took = time - $begin;


# ---- all is well again: everybody ends what has been begun

# Waits for the clients of the kinds, or of all but these.

sub gone {
    my ($limit, $which) = @_;

    return Exam::wait_for {
        for my $pid (@Storm::Client::Pids) {
            delete $Storm::Client::Kind{$pid} if waitpid($pid, WNOHANG) == $pid;
        }

        return !grep { $which->($_) } values %Storm::Client::Kind;
    } $limit;
}

Exam::spew("$dir/stop", '');
ok(gone(180, sub { $_[0] ne 'beater' }), 'all requests come to an end')
    or diag join ' ', sort values %Storm::Client::Kind;
Exam::spew("$dir/stop.now", '');
gone(60, sub { $_[0] ne 'beater' });

# who beats is given what is left
ok((Exam::wait_for {
       my ($left) = $Storm::Mysql->sql(
           "SELECT COUNT(*) FROM deliveries WHERE state <> 'confirmed'");
       return $left->[0] == 0;
   } 120), 'all commands are confirmed');

sleep 3;
Exam::spew("$dir/stop.beats", '');
ok(gone(60, sub { 1 }), 'all clients have left');
ok(Storm::swept(), 'a sweep leaves nothing of uploads that nobody ends')
    or diag join "\n", (spool_left())[0 .. 9];
ok(settled(180), 'rows and events are there, the spool is empty')
    or diag join "\n", (spool_left())[0 .. 9];


# Everything is known again: other content of a number is a conflict.  By a
# token of the session itself, ended or not; returns those that were not.

sub overwritten {
    my %of = map { ($_->[1] => $_) } told('session');
    my @wrong;

    for my $ack ((shuffle acknowledged())[0 .. 99]) {
        my ($sid, $kind, $n) = split / /, $ack;
        my ($student, undef, $gen) = @{ $of{$sid} };
        my $token = Exam::token(exam => $Storm::Exam, sid => $sid,
                                student => $student, gen => $gen);
        my $res = Exam::request('PUT', $Storm::Nginx->url
            . "/api/v1/recordings/$kind/$n", { 'Content-Type' => 'video/webm',
            Authorization => "Bearer $token" }, 'other content', fresh => 1);

        push @wrong, "$sid $kind $n: $res->{status} $res->{content}"
            if $res->{status} != 409;
    }

    return @wrong;
}


# ---- what was promised, and what is there

sub none {
    my ($name, @list) = @_;

    is(scalar @list, 0, $name)
        or diag join "\n", @list > 20 ? @list[0 .. 19] : @list;
}

none('numbers that take other content', overwritten());

my @lost = lost_uploads();
my @doubled = doubles();
my @lost_events = lost_events();

none('lost uploads', @lost);
none('doubled uploads', @doubled);
none('files of another content than their rows', wrong_files());
none('files without a row', files_without_row());
none('rows that nobody has sent', unknown_rows());
none('lost events', @lost_events);
none('commands that are not right', commands_right());
none('sessions that are not right', sessions_right());
none('crashes and errors that nothing explains', crashes());
none('answers that nobody expected', map { "@$_" } told('finding'));
none('other findings', @Storm::Findings);

my ($rc, $out, $err) = Exam::examctl('audit', $Storm::Exam, '--hash',
                                     '--json', '--list');
my $audit = eval { JSON::PP->new->utf8->decode($out) } // {};

is($audit->{unexplained}, 0, 'examctl audit: unexplained')
    or diag "exit $rc: $out$err";

none("kinds of fault that struck fewer than $least times",
     map { "$_: " . ($Storm::Struck{$_} // 0) } kinds_short());
note "without $_: $Storm::Without{$_}" for sort keys %Storm::Without;

my @acks = acknowledged();
my %count;

$count{"@$_"}++ for told('count');
cmp_ok(scalar @acks, '>=', $least_acks, 'acknowledgements');

diag 'clients: ' . figures(%count);
diag sprintf 'storm of %d s: acknowledgements %d, events %d, commands %d, '
    . 'faults %s; variants %d, lost %d, doubled %d, unexplained %s, seed %d',
    $took, scalar @acks, scalar(() = told('event')),
    scalar(() = told('sent')), figures(%Storm::Struck), scalar(variants()),
    @lost + @lost_events, scalar @doubled, $audit->{unexplained} // 'unknown',
    $seed;

Storm::finish();
Storm::keep() unless Test::More->builder->is_passing;

done_testing();
