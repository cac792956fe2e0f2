# The command line and the configuration: what is refused, with which exit
# code, and that help tells of everything.  No server is needed.

use strict;
use warnings;

use lib 't/lib', 't/examctl/lib';

use Ctl;
use Test::More;

my @commands = ('migrate', 'keys rotate', 'doctor', 'exam create', 'exam open',
    'exam pause', 'exam resume', 'exam close', 'exam archive', 'exam show',
    'exam list', 'roster import', 'roster generate', 'students', 'student set',
    'recordings', 'logout');


# ---- help

{
    my $help = ok_ctl('--help', { config => undef });

    like($help, qr/^  \Q$_\E/m, "help has $_") for @commands;
    like($help, qr/^  $_  \w/m, "help has exit code $_") for 0 .. 5;

    for my $command (@commands) {
        my $text = ok_ctl(split(/ /, $command), '--help', { config => undef });

        like($text, qr/\Ausage: examctl \Q$command\E/, '  says its usage');
        like($text, qr/Exit codes: 0 .*1 .*2 .*3 .*4 .*5/s, '  exit codes');
    }

    is(ctl({ config => undef })->{rc}, 2, 'no command is a usage error');
}


# ---- a group of commands: what is in it, and nothing else

for my $group (qw(exam roster student keys)) {
    my @in = grep { /^$group / } @commands;
    my %told = (
        "$group --help" => ok_ctl($group, '--help', { config => undef }),
        "$group -h" => ok_ctl($group, '-h', { config => undef }),
        $group => fails(2, qr/"$group" takes a command:\n/, $group,
                        { config => undef })->{err},
        "$group destroy" => fails(2, qr/no such command "$group destroy"/,
                                  $group, 'destroy', { config => undef })
                            ->{err},
    );

    for my $line (sort keys %told) {
        my @listed = $told{$line} =~ /^  (\w+ \w+).*\n {6}\w/mg;
        is("@listed", "@in", "$line lists its commands");
    }
}


# ---- wrong command lines

my $ini = spew(dir() . '/exam.ini', ini());
my $at = { config => $ini };

fails(2, qr/no such command "frobnicate"/, 'frobnicate', $at);
fails(2, qr/no such command "frobnicate"/, 'frobnicate', '--help', $at);
fails(2, qr/bad option "--frob"/, '--frob', 'exam', 'list',
      { config => undef });
fails(2, qr/unknown option "--frob"/, 'exam', 'list', '--frob', $at);
fails(2, qr/unknown option "--jsonx"/, 'exam', 'list', '--jsonx', $at);
fails(2, qr/bad option "-x"/, 'exam', 'list', '-x', $at);
fails(2, qr/takes no value/, 'exam', 'list', '--json=1', $at);
fails(2, qr/--json is given twice/, 'exam', 'list', '--json', '--json', $at);
fails(2, qr/one argument too many: "30"/, 'exam', 'list', 30, $at);
fails(2, qr/it takes ID/, 'exam', 'show', $at);
fails(2, qr/--title is missing/, 'exam', 'create', 30, $at);
fails(2, qr/--title takes a value/, 'exam', 'create', 30, '--title', $at);
fails(2, qr/--codes is missing/, 'roster', 'import', 30, 'x.csv', $at);
fails(2, qr/--count is missing/, 'roster', 'generate', 30, '--codes', 'x', $at);
fails(2, qr/it takes ID STUDENT/, 'logout', 30, $at);
fails(2, qr/nothing to set/, 'student', 'set', 30, 's1', $at);

for my $extra ('-1', '1.5', '', 'x', '604801', '00', '99999999999999999999') {
    fails(2, qr/--extra is 0 to/, 'student', 'set', 30, 's1', "--extra=$extra",
          $at);
}

fails(2, qr/--suspended is yes or no/, 'student', 'set', 30, 's1',
      '--suspended', 'maybe', $at);

for my $count ('0', '-1', 'x', '', '100001', '1e3') {
    fails(2, qr/--count is 1 to/, 'roster', 'generate', 30, '--count', $count,
          '--codes', dir() . '/none', $at);
}

for my $prefix ('../', '-a', 'a b', 'a..b', 'x' x 59) {
    fails(2, qr/bad --prefix/, 'roster', 'generate', 30, '--count', 1,
          "--prefix=$prefix", '--codes', dir() . '/none', $at);
}

for my $id ('', '-x', '../x', 'a b', 'a.b', 'x' x 33, "a\xc3\xbc", 'a/b', '_x')
{
    fails(2, qr/bad exam id/, 'exam', 'show', '--', $id, $at);
}

for my $id ('', '-x', '../x', 'a b', 'a..b', 'x' x 65, 'a/b', '.x', '@x') {
    fails(2, qr/bad student id/, 'logout', '--', 30, $id, $at);
}

for my $title ('', 'x' x 256, "a\nb", "a\tb", "\xff", "a\x7f") {
    fails(2, qr/--title is 1 to 255/, 'exam', 'create', 30, '--title', $title,
          $at);
}

for my $time ('', 'tomorrow', '2026-11-20', '2026-02-30T10:00', '+3x', '+3',
              '+', '2026-11-20T24:00', '2026-11-20T10:60', '+1234567890s',
              '2026-11-20T10:00+25:00', '2026-11-20T10:00Zx', '3h',
              '2026-11-20T10:00:00.', '1969-12-31T00:00Z')
{
    fails(2, qr/bad time .* of --starts: it is now, .*, as \d{4}-\d\d-\d\dT/,
          'exam', 'create', 30, '--title', 'x', "--starts=$time", $at);
}

fails(2, qr/bad time "2026-12-01" of --ends: it is now, /, 'exam', $_->[0], 30,
      @$_[1 .. $#$_], '--ends', '2026-12-01', $at)
    for ['create', '--title', 'x'], ['open'];

fails(2, qr/ends before it starts/, 'exam', 'create', 30, '--title', 'x',
      '--starts', '+3h', '--ends', '2020-01-01T00:00Z', $at);
fails(2, qr/the end of the exam has passed/, 'exam', 'create', 30, '--title',
      'x', '--starts', '2020-01-01T00:00Z', @$_, $at)
    for [], ['--ends', '2020-01-02T00:00Z'];
fails(2, qr/the new end has passed/, 'exam', 'open', 30, '--ends',
      '2020-01-01T00:00Z', $at);


# ---- the configuration

sub bad_ini {
    my ($like, $text) = @_;

    my $file = spew(dir() . '/bad.ini', $text);

    fails(1, qr/^examctl: \Q$file\E$like/, 'exam', 'list', { config => $file });
}

my $lines = () = ini() =~ /\n/g;

for my $line ('bogus = 1', 'log = x', 'Probe = on') {
    my $name = $line =~ s/ .*//r;
    my $like = $name eq 'log' ? qr/"log" is given twice in \[worker\]/
                              : qr/unknown key "$name" in \[worker\]/;
    bad_ini(qr/:@{[$lines + 1]}: $like/, ini() . "$line\n");
}

bad_ini(qr/:1: "name" stands before any \[section\]/, "name = n1\n");
bad_ini(qr/:@{[$lines + 2]}: unknown section \[nginx\]/,
        ini() . "[nginx]\nx = 1\n");
bad_ini(qr/:2: neither/, "[node]\nname\n");
bad_ini(qr/:1: bad section "\[node"/, "[node\n");
bad_ini(qr/:1: bad section "\[node\] x"/, "[node] x\n");
bad_ini(qr/: a NUL byte/, "[node]\nname = a\0b\n");

my %values = (
    node => {
        name => ['N1', '', 'a' x 16, 'n-1'],
        kinds => ['', 'file', 'screen screen', 'Screen', 'a b c d e', '../x'],
        spool => ['', 'x' x 1024],
        recordings => [''],
        keys => [''],
    },
    redis => { port => ['0', '65536', 'x', '', '-1'], host => [''],
               db => ['-1', 'x', ''], password_file => ['/nonexistent'],
               socket => ['/' . 'x' x 108] },
    mysql => { port => ['0', '65536'], user => [''], host => [''],
               database => ['', 'a-b', 'a`b', 'x' x 65],
               password_file => ['/nonexistent'] },
    worker => { probe => ['yes', ''], verify => ['none', ''],
                threads => ['0', '33', 'x', ''],
                log => ['x' x 1024] },
);

for my $section (sort keys %values) {
    for my $key (sort keys %{ $values{$section} }) {
        for my $value (@{ $values{$section}{$key} }) {
            bad_ini(qr/:2: /, "[$section]\n$key = $value\n");
        }
    }
}

bad_ini(qr/: \[redis\] has a socket and a host/,
        ini(redis => { host => 'localhost' }));
bad_ini(qr/: \[mysql\] has a socket and a host/,
        ini(mysql => { port => '3306' }));

fails(1, qr{cannot read "/nonexistent/exam.ini"}, 'exam', 'list',
      { config => '/nonexistent/exam.ini' });
fails(1, qr/cannot read/, 'exam', 'list', { config => dir() });
fails(1, qr{cannot read "/nonexistent/env.ini"}, 'exam', 'list',
      { config => undef, env => { EXAM_CONFIG => '/nonexistent/env.ini' } });

# a file that is right leads to the next obstacle, a server that is not there
for my $text (ini(),
              "; comment\n\n# other\n[node]\r\nname = n1 ; why\r\n"
              . "[mysql]\nsocket=none # x\n",
              ini(worker => { probe => 'off', verify => 'all', pid => '' }))
{
    my $file = spew(dir() . '/good.ini', $text);
    fails(5, qr/MySQL: /, 'exam', 'list', { config => $file });
}


# ---- which configuration is taken

{
    my $bin = dir() . '/at/bin';
    mkdir dir() . '/at';
    mkdir $bin;
    symlink Exam::Process::bin('examctl'), "$bin/examctl";

    spew(dir() . '/at/exam.ini', "[node]\nname = BESIDE\n");
    spew(dir() . '/env.ini', "[node]\nname = ENV\n");
    spew(dir() . '/option.ini', "[node]\nname = OPTION\n");

    my $env = { EXAM_CONFIG => dir() . '/env.ini' };
    my %run = (config => undef, program => "$bin/examctl");

    fails(1, qr/"BESIDE"/, 'exam', 'list',
          { %run, env => { EXAM_CONFIG => '' } });
    fails(1, qr/"ENV"/, 'exam', 'list', { %run, env => $env });
    fails(1, qr/"OPTION"/, 'exam', 'list', '--config', dir() . '/option.ini',
          { %run, env => $env });
    fails(1, qr/"OPTION"/, '--config=' . dir() . '/option.ini', 'exam', 'list',
          { %run, env => $env });
}

done_testing();
