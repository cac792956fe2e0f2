# Directives: with none but the required ones nginx starts, every right form is
# taken, and every wrong form is an error that says what is wrong, of `nginx -t`
# and so of a reload, too.  What a value does is shown in the other files.

use strict;
use warnings;

use lib 't/lib';

use Test::More;

use Exam;

my $dir = Exam::dir();
my $binary = $ENV{TEST_NGINX_BINARY} // Exam::bin('nginx');
my $load = join '', map { "load_module $_;\n" }
                    split ' ', $ENV{TEST_NGINX_LOAD_MODULES} // '';
my %keys = (
    empty => '', staff => "s1 staff $Exam::KeyStaff\n",
    good => "# of the tests\nc1 candidate $Exam::KeyCandidate\n",
    short => "c1 candidate 1234\n", hex => 'c1 candidate ' . 'zz' x 32 . "\n",
    class => "c1 proctor $Exam::KeyCandidate\n", words => "c1 candidate\n",
    twice => "c1 candidate $Exam::KeyCandidate\n" x 2,
    third => join('', map { "c$_ candidate $Exam::KeyCandidate\n" } 1 .. 3),
);

Exam::spew("$dir/key.$_", $keys{$_}) for keys %keys;
Exam::spew("$dir/key.large", '#' x 70000);
Exam::spew("$dir/secret", "pass\n");
Exam::spew("$dir/secret.empty", "\n");
Exam::spew("$dir/secret.long", 'x' x 600);
mkdir "$dir/$_" for 'logs', 'spool', 'key.dir';

# What nginx -t says of the lines at the levels http, server and location;
# '' when it takes them.

sub complaint {
    my ($http, $server, $main) = @_;

    $server //= "location = /health {\n    exam health;\n}\n";
    $main //= '';

    Exam::spew("$dir/nginx.conf", <<"END");
${load}error_log stderr;
pid $dir/pid;
thread_pool exam_upload threads=2;
$main
events {
}
http {
    access_log off;
$http
    server {
        listen unix:$dir/listen;
$server
    }
}
END


    # `nginx -t` leaves its cycle to the end of the process
    local $ENV{ASAN_OPTIONS} = join ':', grep { defined } $ENV{ASAN_OPTIONS},
                                         'detect_leaks=0';

    # nginx -t leaves its memory to the end of the process

    local $ENV{ASAN_OPTIONS} = join ':', grep { length }
                               $ENV{ASAN_OPTIONS} // '', 'detect_leaks=0';

    my ($rc, $out, $err) = Exam::run($binary, '-t', '-q', '-p', "$dir/", '-c',
                                     "$dir/nginx.conf", '-e', 'stderr');
    $err =~ s/^.*\[warn\].*\n//mg;
    return $rc ? $err || "exit status $rc" : $err;
}


my %base = (exam_zone => 'exam:8m', exam_redis => "unix:$dir/redis",
            exam_key_file => "$dir/key.good", exam_node => 'n1',
            exam_spool => "$dir/spool");

sub lines {
    my (%change) = @_;

    my %all = (%base, %change);

    return join '', map { "    $_ $all{$_};\n" } grep { defined $all{$_} }
                    sort keys %all;
}


sub taken {
    my ($directive, @values) = @_;

    is(complaint(lines($directive => $_)), '', "$directive $_;") for @values;
}


# Pairs of a value and what is said of it.

sub refused {
    my ($directive, @pairs) = @_;

    while (my ($value, $says) = splice @pairs, 0, 2) {
        like(complaint(lines($directive => $value)), $says,
             "$directive " . (length $value > 60 ? 'long' : $value) . ';');
    }

    is_duplicate($directive, $base{$directive}) if $base{$directive};
    like(complaint(lines(), "$directive x;\n"),
         qr/"$directive" directive is not allowed here/,
         "$directive in a server");
}


sub is_duplicate {
    my ($directive, $value) = @_;

    like(complaint(lines($directive => $value) . "    $directive $value;\n"),
         qr/"$directive" directive is duplicate/, "$directive twice");
}


my $number = qr/invalid number of arguments in/;

# ---- none, and the required ones

is(complaint('', "location / {\n    return 200;\n}\n"), '',
   'no directive at all: the module is not in use');
is(complaint(lines()), '', 'the required directives');

for my $missing (qw(exam_redis exam_key_file exam_spool exam_node)) {
    like(complaint(lines($missing => undef)),
         qr/needs "$missing" beside "exam_zone"/, "without $missing");
}

like(complaint(lines(exam_zone => undef)),
     qr/"exam" needs "exam_zone" at the http level/, 'without exam_zone');

# ---- exam

sub location { return "location = /x {\n    exam $_[0];\n}\n" }

is(complaint(lines(), location($_)), '', "exam $_;")
    for qw(login heartbeat recordings uploads me logout health ready status
           metrics problem none);
like(complaint(lines(), location($_->[0])), $_->[1], "exam $_->[0];")
    for ['nope', qr/invalid endpoint "nope"/],
        ['Login', qr/invalid endpoint "Login"/],
        ['loginx', qr/invalid endpoint "loginx"/],
        ['""', qr/invalid endpoint ""/], ['', $number],
        ['login me', $number];
like(complaint(lines(), location("login;\n    exam me")),
     qr/"exam" directive is duplicate/, 'exam twice');
like(complaint(lines(), "exam login;\n"),
     qr/"exam" directive is not allowed here/, 'exam in a server');
like(complaint(lines() . "    exam login;\n"),
     qr/"exam" directive is not allowed here/, 'exam at the http level');

# ---- exam_zone

taken('exam_zone', 'exam:1m', 'a:16m shards=1', 'exam:64m shards=64');
refused('exam_zone',
    '' => $number, 'exam' => qr/invalid zone "exam"/,
    ':8m' => qr/invalid zone ":8m"/, 'exam:' => qr/invalid zone size "exam:"/,
    'exam:x' => qr/invalid zone size "exam:x"/,
    'exam:-8m' => qr/invalid zone size "exam:-8m"/,
    'exam:0' => qr/zone "exam:0" is too small/,
    'exam:512k' => qr/zone "exam:512k" is too small/,
    'exam:8m shards=16' => qr/zone "exam:8m" is too small/,
    'exam:8m shards=0' => qr/invalid parameter "shards=0"/,
    'exam:80m shards=65' => qr/invalid parameter "shards=65"/,
    'exam:8m shards=' => qr/invalid parameter "shards="/,
    'exam:8m shards=x' => qr/invalid parameter "shards=x"/,
    'exam:8m shard=2' => qr/invalid parameter "shard=2"/,
    'exam:8m shards=2 x' => $number);

# ---- exam_redis

taken('exam_redis', 'unix:relative', '127.0.0.1', '127.0.0.1:6380',
      '[::1]:6379', 'localhost', "127.0.0.1 db=3",
      "unix:$dir/s password_file=$dir/secret db=0",
      'unix:x password_file=secret');
refused('exam_redis',
    '' => $number, 'unix:' => qr/no path in .*"unix:"|"unix:"/,
    '127.0.0.1:0' => qr/invalid port in "127\.0\.0\.1:0"/,
    '127.0.0.1:99999' => qr/invalid port in "127\.0\.0\.1:99999"/,
    '""' => qr/no host in ""/,
    'redis.invalid' => qr/host not found in "redis\.invalid"/,
    'unix:x db=x' => qr/invalid parameter "db=x"/,
    'unix:x db=-1' => qr/invalid parameter "db=-1"/,
    'unix:x db=' => qr/invalid parameter "db="/,
    'unix:x db=65536' => qr/invalid parameter "db=65536"/,
    'unix:x user=me' => qr/invalid parameter "user=me"/,
    'unix:x password_file=' => qr/"[^"]*" failed/,
    "unix:x password_file=$dir/nope" => qr/open\(\) "\Q$dir\E\/nope" failed/,
    "unix:x password_file=$dir/secret.empty"
        => qr/password file "\Q$dir\E\/secret\.empty" is empty/,
    "unix:x password_file=$dir/secret.long"
        => qr/password file "\Q$dir\E\/secret\.long" is too long/,
    'unix:x db=1 password_file=secret x' => $number);

# ---- exam_key_file

taken('exam_key_file', "$dir/key.good");
is(complaint(lines(exam_key_file => '../key.good') =~ s/\.\.\/key/$dir\/key/r),
   '', 'exam_key_file relative to the configuration');
refused('exam_key_file',
    '' => $number, "$dir/nope" => qr/open\(\) "\Q$dir\E\/nope" failed/,
    "$dir/key.dir" => qr/"\Q$dir\E\/key\.dir"/,
    "$dir/key.large" => qr/file "\Q$dir\E\/key\.large" is too large/,
    "$dir/key.empty" => qr/"\Q$dir\E\/key\.empty"/,
    "$dir/key.staff" => qr/candidate.*"\Q$dir\E\/key\.staff"/,
    map { ("$dir/key.$_->[0]" =>
           qr/ in key file "\Q$dir\E\/key\.$_->[0]", line $_->[1]\b/) }
        ['short', 1], ['hex', 1], ['class', 1], ['words', 1], ['twice', 2],
        ['third', 3]);

unlike(complaint(lines(exam_key_file => "$dir/key.twice")), qr/1111/,
       'no key is shown');

# ---- exam_node, exam_spool, exam_thread_pool, exam_kinds

taken('exam_node', 'a', 'node1', '0', 'abcdefghijklmno');
refused('exam_node', '' => $number, map { $_ => qr/invalid node $_/ }
        '""', '"N1"', '"n-1"', '"n 1"', '"n.1"', '"abcdefghijklmnop"');

taken('exam_spool', "$dir/spool/", '/tmp', 'relative/folder');
refused('exam_spool', '' => $number, '""' => qr/"exam_spool".* empty path/);

is(complaint(lines(exam_thread_pool => 'writers'), undef,
             "thread_pool writers threads=1;\n"), '', 'exam_thread_pool');
is(complaint(lines(exam_thread_pool => 'default')), '',
   'exam_thread_pool default;');
refused('exam_thread_pool', '' => $number,
        'nope' => qr/unknown thread pool "nope"/);
is_duplicate('exam_thread_pool', 'default');

taken('exam_kinds', 'screen', 'camera screen', 'a b c d');
refused('exam_kinds', '' => $number,
        'a b c d e' => qr/"exam_kinds" directive has more than 4 kinds/,
        'screen screen' => qr/invalid or repeated kind "screen"/,
        map { ($_ => qr/invalid or repeated kind $_/) }
            '"Screen"', '""', '"a/b"', '"file"', '"a,b"', '"' . 'k' x 33 . '"');
is_duplicate('exam_kinds', 'screen');

# ---- times

for my $row (
    # directive, lowest, what is too low (or undef)
    ['exam_redis_timeout', '10ms', '9ms'],
    ['exam_flush_interval', '10ms', '9ms'],
    ['exam_login_early', '0'], ['exam_late_upload', '0'],
    ['exam_upload_expire', '0'],
    ['exam_offline_after', '1s', '999ms'],
    ['exam_heartbeat_interval', '1s', '999ms'],
    ['exam_segment_length', '1s', '999ms'])
{
    my ($directive, $lowest, $low) = @$row;

    taken($directive, $lowest, '2m', '1h30m', '5000ms');
    refused($directive, '' => $number, '1s 2s' => $number,
            map { ($_ => qr/"$directive" directive invalid value/) }
                'x', '-1', '1y', '1s1s', '""');
    refused($directive, map { ($_ => qr/value must be/) } '0', $low) if $low;
    is_duplicate($directive, '2m');
}

# ---- the others

taken('exam_takeover', 'takeover', 'deny');
refused('exam_takeover', '' => $number,
        map { ($_ => qr/invalid value "$_"/) } 'maybe', 'off', 'denyx');
is_duplicate('exam_takeover', 'deny');

taken('exam_max_bytes', '1', '1k', '50m', '2g');
refused('exam_max_bytes', '' => $number,
        (map { ($_ => qr/"exam_max_bytes" directive invalid value/) }
             'x', '-1', '1t', '""'), '0' => qr/value must be/);
is_duplicate('exam_max_bytes', '1m');

taken('exam_student_quota', 'off', '1', '1k', '20g');
refused('exam_student_quota', '' => $number,
        (map { ($_ => qr/"exam_student_quota" directive invalid value/) }
             'x', '-1', 'on', '""'), '0' => qr/value must be/);
is_duplicate('exam_student_quota', 'off');
is_duplicate('exam_student_quota', '1m');

taken('exam_journal_reserve', '0', '1k', '64m', '2g');
refused('exam_journal_reserve', '' => $number,
        (map { ($_ => qr/"exam_journal_reserve" directive invalid value/) }
             'x', '-1', 'off', '""'));
is_duplicate('exam_journal_reserve', '1m');

taken('exam_spool_low', '0', '1k', '256m', '2g');
refused('exam_spool_low', '' => $number,
        (map { ($_ => qr/"exam_spool_low" directive invalid value/) }
             'x', '-1', 'off', '""'));
is_duplicate('exam_spool_low', '1m');

taken('exam_upload_max_active', '0', '1', '100000');
refused('exam_upload_max_active', '' => $number,
        (map { ($_ => qr/"exam_upload_max_active" directive invalid number/) }
             'x', '-1', '1k', '""'));
is_duplicate('exam_upload_max_active', '1');

taken('exam_upload_buffers', '4m', '4096k', '1g');
refused('exam_upload_buffers', '' => $number,
        (map { ($_ => qr/"exam_upload_buffers" directive invalid value/) }
             'x', '-1', '""'), '0' => qr/value must be at least 4m/,
        '3m' => qr/value must be at least 4m/);
is_duplicate('exam_upload_buffers', '8m');

taken('exam_upload_min_rate', '0', '1k', '1m');
refused('exam_upload_min_rate', '' => $number,
        (map { ($_ => qr/"exam_upload_min_rate" directive invalid value/) }
             'x', '-1', '""'));
is_duplicate('exam_upload_min_rate', '1k');

for my $row (['exam_max_segments', 1000000], ['exam_segment_window', 1000],
             ['exam_kind_uploads', 4], ['exam_file_uploads', 1000])
{
    my ($directive, $max) = @$row;

    taken($directive, 1, $max);
    refused($directive, '' => $number,
            (map { ($_ => qr/"$directive" directive invalid number/) }
                 'x', '-1', '1.5', '1k', '""'),
            (map { ($_ => qr/value must be between 1 and $max/) }
                 0, $max + 1));
    is_duplicate($directive, 1);
}

for my $directive (qw(exam_heartbeat_rate exam_poll_rate
                      exam_events_rate)) {
    taken($directive, '0', '2r/s', '30r/m', '2r/s burst=20', '1r/s burst=0',
          '100000r/s', '0 burst=1');
    refused($directive, '' => $number, '1r/s burst=1 x' => $number,
            (map { ($_ => qr/invalid rate "\Q$_\E"/) }
                 '2', 'r/s', '0r/s', '-1r/s', 'x', 'xr/s', '2r/h', '2r',
                 '100001r/s', '1.5r/s', '00'),
            (map { ("2r/s $_" => qr/invalid parameter "$_"/) }
                 'burst', 'burst=', 'burst=-1', 'burst=x', 'nodelay',
                 'burst=1000001'));
    is_duplicate($directive, '2r/s');
}

taken('exam_cors_origin', 'off', '*', 'https://a.example',
      'https://a.example http://localhost:3000', 'https://[::1]:8443');

for ((map { ["exam_cors_origin $_", qr/invalid origin/] }
          'a.example', 'https://', '://a', 'https://a/', 'https://A.example',
          'https://*.example', 'https://a.example *', '* *', 'off *',
          '"https://a b"', '""'),
     (map { ["exam_public_url $_", qr/invalid URL/] }
          'a.example', '//a.example', 'ftp://a.example', '"https://a b"',
          '""'),
     ['exam_cors_origin', $number], ['exam_public_url', $number],
     ["exam_cors_origin *;\nexam_cors_origin off", qr/is duplicate/],
     ["exam_public_url http://a;\nexam_public_url http://a",
      qr/is duplicate/])
{
    like(complaint(lines() . "$_->[0];\n"), $_->[1], "$_->[0];");
}

taken('exam_public_url', 'https://a.example', 'http://a.example:8080/',
      'https://a.example/exam');
is(complaint(lines(), "exam_cors_origin *;\nexam_public_url http://a;\n"
                      . location('uploads')), '', 'both in a server');

# every directive of the module has its part here

my $source = Exam::slurp(
    "$Exam::Process::Root/ngx_exam_module/ngx_http_exam_module.c");
my $self = Exam::slurp(__FILE__);

is(join(' ', grep { $self !~ /\b$_\b/ }
        $source =~ /ngx_string\("(exam_\w+)"\)/g), '',
   'every directive is looked at');

done_testing();
