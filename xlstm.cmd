@echo off
rem Runs the program on Windows, as the script xlstm does elsewhere. In a clone: finds a JDK 25, builds on
rem first use (after a change of the sources: delete cli\target\app\.built). In a bundle: uses the Java and
rem the jars beside this file. It was run under Wine with a stand-in for java.exe, not on Windows.
setlocal EnableExtensions DisableDelayedExpansion
set "root=%~dp0"
set "program=%~n0"

if exist "%root%runtime\bin\java.exe" (
  set "java=%root%runtime\bin\java.exe"
  set "app=%root%app"
  goto run
)

set "app=%root%cli\target\app"
if not defined JAVA_HOME goto nojdk
if not exist "%JAVA_HOME%\bin\javac.exe" goto nojdk
findstr /b /c:"JAVA_VERSION=\"25" "%JAVA_HOME%\release" >nul 2>&1
if errorlevel 1 goto nojdk
set "java=%JAVA_HOME%\bin\java.exe"

if exist "%app%\.built" goto run
echo xlstm: building; the first time this fetches Maven and about 150 MB 1>&2
call "%root%mvnw.cmd" -B -q -f "%root%pom.xml" -Dmaven.test.skip=true package 1>&2
if errorlevel 1 (
  echo xlstm: the build failed 1>&2
  exit /b 1
)
type nul >"%app%\.built"

:run
"%java%" --enable-native-access=ALL-UNNAMED --add-modules=jdk.incubator.vector ^
  --sun-misc-unsafe-memory-access=allow -Dorg.bytedeco.javacpp.logger=slf4j -Djava.awt.headless=true ^
  "-Dxlstm4j.program=%program%" -XX:+UseSerialGC -cp "%app%\*" io.xlstm4j.cli.Main %*
exit /b %errorlevel%

:nojdk
echo xlstm: no JDK 25 found; install one (https://adoptium.net) and set JAVA_HOME to it 1>&2
exit /b 1
